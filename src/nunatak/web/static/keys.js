// The keyboard: / search, g + letter to a page, j and k along rows, Enter opens, f failed only, l log, r retry, x choose, n next page, ? help, Escape closes.
(() => {
  "use strict";
  const help = document.getElementById("help");
  let going = -Infinity; // when g was pressed: by the time of the key, however late a busy page hears of it
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.getClientRects().length);
  const current = () => document.querySelector("[data-row].current");

  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(current());
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))];
    for (const row of all) row.classList.toggle("current", row === next);
    const target = next.querySelector("[data-open]") || next;
    target.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const toggle = () => { if (help) help.open ? help.close() : help.showModal(); };
  // What is open over the page closes, and the focus goes back to what opened it.
  const shut = () => {
    const open = [...document.querySelectorAll("details.menu[open], details.sure[open]")].pop();
    if (!open) return false;
    open.open = false;
    open.querySelector("summary").focus();
    return true;
  };
  const press = (key) => {
    const inside = current() && current().querySelector(`[data-key="${key}"]`);
    const found = inside || document.querySelector(`[data-key="${key}"]`);
    if (!found) return false;
    if (key === "x" && found !== inside) return false;
    if (found.matches("input:not([type=checkbox]), select, textarea")) { found.focus(); found.select?.(); }
    else if (key === "r") found.focus();
    else if (found.getAttribute("aria-current") && found.dataset.back) location.assign(found.dataset.back);
    else found.click();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && shut()) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const went = event.timeStamp - going < 1500;
    going = -Infinity;
    if (went) {
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); location.assign(link.href); return; }
    }
    let done = true;
    if (event.key === "g") going = event.timeStamp;
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "?") toggle();
    else if ("/flrnx".includes(event.key) && event.key.length === 1) done = press(event.key);
    else if (event.key === "Enter" && event.target === document.body && current()) current().querySelector("[data-open]")?.click();
    else done = false;
    if (done) event.preventDefault();
  });
  // Of a row of links that is wider than the page, the one where one is.
  for (const here of document.querySelectorAll("nav [aria-current]")) {
    const [nav, link] = [here.closest("nav"), here].map((item) => item.getBoundingClientRect());
    here.closest("nav").scrollLeft += (link.left + link.right - nav.left - nav.right) / 2;
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) toggle();
    for (const menu of document.querySelectorAll("details.menu[open], details.sure[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
})();
