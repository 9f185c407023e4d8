/* Puts the code of an enrolment link, which no server has seen, into the form, and takes it out of the address. */
'use strict';
const code = decodeURIComponent(location.hash.slice(1));
if (code) {
  document.getElementById('code').value = code;
  history.replaceState(null, '', location.pathname);
}
