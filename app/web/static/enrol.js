/* Puts the code of an enrolment link, which no server has seen, into the form, and takes it out of the address. The
   reminders of whoever had this browser before end: it may be another patient's from now on. */
'use strict';
const code = decodeURIComponent(location.hash.slice(1));
if (code) {
  document.getElementById('code').value = code;
  history.replaceState(null, '', location.pathname);
}
navigator.serviceWorker?.getRegistration('/check-in').then(async (held) => {
  await (await (window.pushManager || held?.pushManager)?.getSubscription())?.unsubscribe();
}).catch(() => {});
