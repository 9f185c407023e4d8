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
  event.waitUntil(self.registration.showNotification(title, { lang, dir, tag, renotify: true }));
});
self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const opened = async () => {
    const windows = await clients.matchAll({ type: 'window', includeUncontrolled: true });
    const open = windows.find((one) => new URL(one.url).pathname === PAGE);
    if (!open) return clients.openWindow(PAGE);
    await open.navigate(PAGE).catch(() => {}); // it may be of yesterday; what is begun is kept
    return open.focus();
  };
  event.waitUntil(opened());
});
// The push service has replaced the subscription: the clinic learns of the new one, if reminders are still wished.
const posted = (address, body) => fetch(address, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), redirect: 'error',
});
const renewed = async ({ newSubscription, oldSubscription }) => {
  let fresh = newSubscription;
  if (!fresh) {
    const key = oldSubscription?.options?.applicationServerKey
      || (await (await posted('/check-in/reminders/key', {})).json()).public_key;
    fresh = await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  }
  const { endpoint, keys } = fresh.toJSON();
  await posted('/check-in/reminders/renewal', { endpoint, public_key: keys.p256dh, secret: keys.auth });
};
self.addEventListener('pushsubscriptionchange', (event) => { event.waitUntil(renewed(event).catch(() => {})); });
