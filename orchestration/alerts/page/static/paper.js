// The shift report: the print button, and a period that is chosen without pressing « Afficher ». It opens and reads without this.
"use strict";
document.querySelector("[data-print]")?.addEventListener("click", () => window.print());
document.querySelector("[data-send] select")?.addEventListener("change", (event) => event.target.form.submit());
