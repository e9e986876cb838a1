/**
 * The offline shell: the page opens without a network and says that it waits for one. Playing needs the gateway.
 *
 * Network first, so that a new version of the page is used at once; the cache answers only if the network
 * does not.
 */

const CACHE = "maze-shell";
const MODULES = [
  "asked", "best", "budget", "camera", "evidence", "follow", "game", "hand-view", "keys", "link", "maze-view", "menu",
  "naming", "palm", "panel", "race", "scores", "setup", "simulated", "sound", "tracker", "types", "words",
];
const SHELL = [
  "game", "game/hands.json", "manifest.webmanifest", "static/icon.svg", "static/style.css",
  ...MODULES.map((name) => `static/js/${name}.js`),
];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const here = new URL(request.url);
  const path = here.href.slice(self.registration.scope.length).split("?")[0];
  if (request.method !== "GET" || !SHELL.includes(path)) return;
  event.respondWith(answer(request, new URL(path, self.registration.scope).href));
});

async function answer(request, key) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(key, response.clone());
    return response;
  } catch (fault) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw fault;
  }
}
