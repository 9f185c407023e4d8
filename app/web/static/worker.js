/* Keeps the check-in page for when there is no network, and shows reminders. It keeps no answer and no score. */
'use strict';
const NAME = 'holdfast-check-in {{KEPT}}';
const KEPT = '{{KEPT}}'.split(' ');
const PAGE = '/check-in';
const keep = async (answer) => {
  // Only the page itself, as somebody sees it who is signed in.
  if (answer.ok && !answer.redirected) await (await caches.open(NAME)).put(PAGE, answer.clone());
  return answer;
};
const renew = async () => keep(await fetch(PAGE, { cache: 'no-store' }));
self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(KEPT)).then(renew).then(() => self.skipWaiting()));
});
self.addEventListener('activate', (event) => {
  const others = caches.keys().then((names) => Promise.all(names.filter((name) => name !== NAME).map((name) => caches.delete(name))));
  event.waitUntil(others.then(() => self.clients.claim()));
});
// What was asked for has been answered: the page is kept as it is from now on.
self.addEventListener('message', (event) => { if (event.data === 'renew') event.waitUntil(renew().catch(() => {})); });
const page = async (request) => {
  try {
    return await keep(await fetch(request));
  } catch (error) {
    const held = await caches.match(PAGE);
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

/* A reminder comes in the declarative form. A browser that knows it shows it without asking here. */
const shown = (data) => {
  try {
    return data.json().notification || {};
  } catch {
    return {};
  }
};
self.addEventListener('push', (event) => {
  const { title = 'Check-in', lang = '', dir = 'auto', tag = 'check-in' } = event.data ? shown(event.data) : {};
  event.waitUntil(self.registration.showNotification(title, { lang, dir, tag }));
});
self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(clients.matchAll({ type: 'window', includeUncontrolled: true }).then((windows) => {
    const open = windows.find((one) => new URL(one.url).pathname === PAGE);
    return open ? open.focus() : clients.openWindow(PAGE);
  }));
});
// The push service has replaced the subscription: the clinic learns of the new one.
self.addEventListener('pushsubscriptionchange', (event) => {
  const renewed = async () => {
    const fresh = event.newSubscription || await self.registration.pushManager.subscribe(event.oldSubscription.options);
    const { endpoint, keys } = fresh.toJSON();
    const body = JSON.stringify({ endpoint, public_key: keys.p256dh, secret: keys.auth });
    await fetch('/check-in/reminders/on', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  };
  event.waitUntil(renewed().catch(() => {}));
});
