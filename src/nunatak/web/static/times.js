// Times say how long ago they were, and go on saying it; buttons that need JavaScript appear.
(() => {
  "use strict";
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];
  const ago = (seconds) => {
    for (const [unit, name] of UNITS) if (seconds >= unit) return `${Math.floor(seconds / unit)}\u00a0${name} ago`;
    return seconds < 5 ? "now" : `${Math.floor(seconds)}\u00a0s ago`;
  };
  const ahead = (seconds) => {
    for (const [unit, name] of UNITS) if (seconds >= unit) return `in ${Math.round(seconds / unit)}\u00a0${name}`;
    return `in ${Math.max(1, Math.round(seconds))}\u00a0s`;
  };
  const relate = (root) => {
    const now = Date.now();
    for (const time of root.querySelectorAll("time[data-relative]")) {
      const seconds = (now - Date.parse(time.dateTime)) / 1000;
      const text = seconds >= 0 ? ago(seconds) : ahead(-seconds);
      if (time.textContent !== text) time.textContent = text;
    }
    for (const button of root.querySelectorAll("button.copy[hidden], button[data-help][hidden]")) button.hidden = false;
  };
  window.nunatak = { relate };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
  document.addEventListener("htmx:after:swap", () => relate(document));
  relate(document);
  setInterval(() => { if (!document.hidden) relate(document); }, 5000);
})();
