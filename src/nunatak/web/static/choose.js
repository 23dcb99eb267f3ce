// Tasks of a list are chosen for an action: all that are shown at once, and how many are.
(() => {
  "use strict";
  const boxes = () => [...document.querySelectorAll("#rows tbody input[name=address][type=checkbox]")];
  const tell = () => {
    const all = boxes();
    const n = all.filter((box) => box.checked).length;
    const every = document.querySelector("#rows [data-every]");
    if (every) {
      every.hidden = !all.length;
      every.checked = n > 0 && n === all.length;
      every.indeterminate = n > 0 && n < all.length;
    }
    const said = document.getElementById("chosen-n");
    if (said) said.textContent = n === 1 ? "1\u00a0task chosen" : `${n}\u00a0tasks chosen`;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-every]")) for (const box of boxes()) box.checked = event.target.checked;
    tell();
  });
  for (const name of ["nunatak:live", "htmx:after:swap"]) document.addEventListener(name, tell);
  window.addEventListener("pageshow", tell);
})();
