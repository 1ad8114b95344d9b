// The panel that is being read is marked in the navigation.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) links.get(entry.target.id).classList.toggle("current", entry.isIntersecting);
  },
  { rootMargin: "-20% 0px -70%" },
);
document.querySelectorAll("main > section").forEach((section) => reading.observe(section));
document.documentElement.dataset.ready = performance.now().toFixed(0);
