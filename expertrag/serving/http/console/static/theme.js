// Before anything is painted: the theme that was chosen last.
document.documentElement.dataset.theme = localStorage.getItem("expertrag.theme") || "auto";
