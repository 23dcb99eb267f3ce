// What if: a slider beside a number, each moves the other; and the answer comes as one moves them, without the button.
(() => {
  "use strict";
  const form = document.querySelector("form.what-if");
  if (!form) return;
  const PAUSE = 500; // ms after the last move
  const AGAIN = 1000; // ms between two looks while it is worked out
  let timer = 0;
  let asking = null;

  for (const slider of form.querySelectorAll("input[type=range][data-for]")) {
    const field = document.getElementById(slider.dataset.for);
    slider.setAttribute("aria-label", `${field.labels[0]?.firstChild?.textContent.trim() || field.name}: slider`);
    slider.hidden = false;
    slider.addEventListener("input", () => { field.value = slider.value; });
    field.addEventListener("input", () => { slider.value = field.value || slider.min; });
  }
  if (!form.querySelector("input[type=hidden][name=dataset]")) return; // there the button says which dataset
  form.querySelector("button").hidden = true;

  const put = (made, url) => {
    const [old, next] = [document.getElementById("answer"), made.getElementById("answer")];
    if (!next) { // refused, or no longer signed in
      const problem = made.querySelector(".problem");
      if (problem) old.replaceChildren(problem); else location.assign(url);
      return false;
    }
    const working = Boolean(made.body.dataset.live);
    old.setAttribute("aria-busy", String(working));
    if (!working || !old.querySelector(".ranges")) old.replaceChildren(...next.childNodes); // the old answer stays till then
    document.title = made.title;
    history.replaceState(null, "", url);
    for (const part of ["footer .cli", "footer [rel=alternate]"]) {
      document.querySelector(part).replaceWith(made.querySelector(part));
    }
    window.nunatak.relate(document);
    return working;
  };
  const ask = async () => {
    document.dispatchEvent(new CustomEvent("nunatak:leave")); // what was asked before is of no interest
    asking?.abort();
    if (!form.checkValidity()) return;
    const mine = asking = new AbortController();
    const url = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    let again = true;
    try {
      const answer = await fetch(url, { signal: mine.signal, headers: { Accept: "text/html" } });
      again = put(new DOMParser().parseFromString(await answer.text(), "text/html"), url);
    } catch {
      if (mine.signal.aborted) return; // else the server is away: the next look may find it
    }
    if (again && mine === asking) timer = setTimeout(ask, AGAIN);
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, PAUSE); });
})();
