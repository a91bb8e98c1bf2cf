// As much of ClickHouse's HTTP door as the sink uses, in front of an embedded one; the answer to the first INSERT is lost.
// chdb_door.cjs FOLDER SESSION: prints its port.
const fs = require('fs');
const http = require('http');
const { Session } = require(process.argv[2] + '/node_modules/chdb');

const session = new Session(process.argv[3]);
const rows = process.argv[2] + '/door.rows';
const ours = new Set(['database', 'query', 'query_id', 'wait_end_of_query']);
let inserts = 0;

function run(url, body) {
  const database = url.searchParams.get('database');
  const settings = [...url.searchParams].filter(([name]) => !ours.has(name));
  let sql = url.searchParams.get('query');
  if (database) session.query(`USE ${database}`);
  if (sql === null) {
    for (const [name, value] of settings) session.query(`SET ${name} = '${value}'`);
    return session.query(body.toString(), 'TabSeparated') ?? '';
  }
  fs.writeFileSync(rows, body);
  const given = settings.map(([name, value]) => `${name} = '${value}'`).join(', ');
  sql = sql.replace(/ FORMAT RowBinary$/, ` FROM INFILE '${rows}' SETTINGS ${given} FORMAT RowBinary`);
  session.query(sql);
  inserts += 1;
  return '';
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const url = new URL(request.url, 'http://door');
    if (url.pathname === '/inserts') return response.end(String(inserts));
    try {
      const text = run(url, Buffer.concat(parts));
      if (url.searchParams.has('query') && inserts === 1) return request.socket.destroy();
      response.end(text);
    } catch (error) {
      process.stderr.write(`${error}\n`);
      response.statusCode = 500;
      response.end(String(error));
    }
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
