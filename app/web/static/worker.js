/* Keeps the check-in page for when there is no network. It keeps no answer and no score. */
'use strict';
const NAME = 'holdfast-check-in {{KEPT}}';
const KEPT = '{{KEPT}}'.split(' ');
const PAGE = '/check-in';
self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(KEPT)).then(() => self.skipWaiting()));
});
self.addEventListener('activate', (event) => {
  const others = caches.keys().then((names) => Promise.all(names.filter((name) => name !== NAME).map((name) => caches.delete(name))));
  event.waitUntil(others.then(() => self.clients.claim()));
});
const page = async (request) => {
  const cache = await caches.open(NAME);
  try {
    const answer = await fetch(request);
    // Only the page itself, as somebody sees it who is signed in.
    if (answer.ok && !answer.redirected) await cache.put(PAGE, answer.clone());
    return answer;
  } catch (error) {
    const held = await cache.match(PAGE);
    if (held) return held;
    throw error;
  }
};
self.addEventListener('fetch', (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.method !== 'GET') return;
  if (event.request.mode === 'navigate' && pathname === PAGE) event.respondWith(page(event.request));
  else if (KEPT.includes(pathname)) event.respondWith(caches.match(pathname).then((held) => held || fetch(event.request)));
});
