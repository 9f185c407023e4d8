// parse-server on a PostgreSQL socket: node server.js PORT SOCKET_FOLDER DATABASE USER. Prints "ready".
process.env.PARSE_SERVER_LOGS_FOLDER = 'null'; // before the require: otherwise it makes a folder ./logs
const express = require('express');
const { ParseServer } = require('parse-server');
const [port, host, database, user] = process.argv.slice(2);

async function main() {
  const parse = new ParseServer({
    appId: 'peer',
    masterKey: 'peer-master',
    restAPIKey: 'peer-rest',
    serverURL: `http://127.0.0.1:${port}/parse`,
    // The address must name a host; `host` below, a folder, takes its place.
    databaseURI: `postgres://${user}@localhost:5432/${database}`,
    databaseOptions: { host },
    directAccess: false,
    silent: true,
    logsFolder: null,
    logLevel: 'error',
  });
  await parse.start();
  const app = express();
  app.use('/parse', parse.app);
  app.listen(Number(port), '127.0.0.1', () => console.log('ready'));
}
main().catch(error => { console.error(error); process.exit(1); });
