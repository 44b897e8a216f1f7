// What the theme leaves out for readers with a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  // A label must contain what is shown: "Search Ctrl+K", "Show the code".
  document
    .querySelectorAll(".search-button-field, summary[aria-label]")
    .forEach((e) => e.removeAttribute("aria-label"));
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "navigation");
  sidebar?.setAttribute("aria-label", "Contents of the book");
  // What scrolls sideways can be scrolled by keyboard.
  document.querySelectorAll(".bd-article table, .bd-article pre").forEach((e) => { e.tabIndex = 0; });
});
