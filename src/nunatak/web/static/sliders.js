// A slider beside a number: moving one moves the other.
(() => {
  "use strict";
  for (const slider of document.querySelectorAll("input[type=range][data-for]")) {
    const field = document.getElementById(slider.dataset.for);
    slider.setAttribute("aria-label", `${field.labels[0]?.firstChild?.textContent.trim() || field.name}: slider`);
    slider.hidden = false;
    slider.addEventListener("input", () => { field.value = slider.value; });
    field.addEventListener("input", () => { slider.value = field.value || slider.min; });
  }
})();
