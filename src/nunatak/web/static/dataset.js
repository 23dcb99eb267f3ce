// The task matrix by keyboard: one stop for Tab, arrows move between cells, Enter follows the one with the focus.
(() => {
  "use strict";
  const cells = () => [...document.querySelectorAll(".matrix .cell")];
  let at = "";

  const one = () => {
    const all = cells();
    const here = all.find((cell) => cell.getAttribute("href") === at) || all[0];
    for (const cell of all) cell.setAttribute("tabindex", cell === here ? "0" : "-1");
    return here;
  };
  const box = (cell) => {
    const { x, y, width, height } = cell.getBBox();
    return { x: x + width / 2, y: y + height / 2 };
  };
  // The nearest cell that lies in a direction, straight ahead before aside.
  const beside = (cell, dx, dy) => {
    const from = box(cell);
    let best = null, least = Infinity;
    for (const other of cells()) {
      const to = box(other);
      const ahead = (to.x - from.x) * dx + (to.y - from.y) * dy;
      const aside = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
      if (other !== cell && ahead > 0.5 && ahead + 100 * aside < least) { best = other; least = ahead + 100 * aside; }
    }
    return best;
  };
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.(".matrix .cell");
    const way = WAYS[event.key];
    if (!cell || !way) return;
    event.preventDefault();
    const next = beside(cell, ...way);
    if (!next) return;
    at = next.getAttribute("href");
    one().focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  document.addEventListener("focusin", (event) => {
    const cell = event.target.closest?.(".matrix .cell");
    if (cell) { at = cell.getAttribute("href"); one(); }
  });
  document.addEventListener("nunatak:live", one);
  one();
})();
