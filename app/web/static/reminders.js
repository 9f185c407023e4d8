/* Reminders on this phone (Web Push). They are turned on by a tap. What the browser has and what the clinic knows are
   brought together when a page is opened: a subscription of somebody before is ended, one that is gone is made anew. */
'use strict';
(() => {
  const PATIENCE = 20 * 1000; // Chromium may never answer
  const box = document.getElementById('reminders');
  const said = document.getElementById('reminders-said');
  const told = document.getElementById('reminder-words')?.dataset;
  const button = box?.querySelector('[data-turn-on]');
  const manager = async () => {
    // Without a service worker, where the browser knows the declarative form.
    if ('pushManager' in window) return window.pushManager;
    const held = await navigator.serviceWorker.register('/check-in/worker.js', { scope: '/check-in' });
    await navigator.serviceWorker.ready;
    return held.pushManager;
  };
  const held = async () => (await manager()).getSubscription();
  const posted = async (address, body) => {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body), redirect: 'error' });
    if (!answer.ok) throw new Error(answer.status);
    return answer;
  };
  const within = (work) => Promise.race([work, new Promise((_, failed) => { setTimeout(failed, PATIENCE); })]);
  const of = (subscription) => {
    const { endpoint, keys } = subscription.toJSON();
    return { endpoint, public_key: keys.p256dh, secret: keys.auth };
  };
  const subscribe = async (address) => {
    const key = (await (await posted('/check-in/reminders/key', {})).json()).public_key;
    const push = await manager();
    await (await push.getSubscription())?.unsubscribe();
    await posted(address, of(await push.subscribe({ userVisibleOnly: true, applicationServerKey: key })));
  };
  const hasWorker = 'serviceWorker' in navigator && 'PushManager' in window;
  if (!box || !('Notification' in window) || !('pushManager' in window || hasWorker)) return;
  box.querySelector('[data-cannot]')?.remove();
  const tell = (text) => { said.textContent = text; said.hidden = false; };
  const renewPage = () => navigator.serviceWorker?.controller?.postMessage('renew');
  const off = () => fetch('/check-in/reminders/off', { method: 'POST', redirect: 'manual' });
  const together = async () => {
    const subscription = await held();
    const { state, language } = box.dataset;
    // The page of what is due may be an old one, kept for when there is no network: it ends nothing.
    if (state === 'off' && said) await subscription?.unsubscribe();
    if (state === 'off') return;
    if (Notification.permission !== 'granted') { // it was taken back in the browser's own settings
      if (state === 'on' && said) { await off(); location.reload(); }
      return;
    }
    if (state === 'on' && subscription && language === document.documentElement.lang) return;
    if (state === 'on' && subscription) await posted('/check-in/reminders/renewal', of(subscription));
    else await subscribe('/check-in/reminders/renewal');
    if (state === 'lost') location.reload();
  };
  within(together()).catch(() => {});
  button?.addEventListener('click', async () => {
    button.disabled = true;
    const permission = await Notification.requestPermission(); // asked in the tap itself, or browsers refuse
    const done = permission === 'granted' && within(subscribe('/check-in/reminders/on'));
    const problem = done ? await done.then(() => null, () => told.failed) : told.blocked;
    button.disabled = false;
    if (!problem) { renewPage(); location.reload(); return; }
    tell(problem);
  });
  if (button) button.hidden = false;
  document.querySelector('[data-turn-off]')?.addEventListener('submit', async (event) => {
    event.preventDefault(); // once the browser has let go of it, or a change of it would come back
    await within(held().then((one) => one?.unsubscribe())).catch(() => {});
    off().then(() => { renewPage(); location.reload(); }, () => tell(told.offline));
  });
})();
