// Runs statements in an embedded ClickHouse: JSON list of strings on stdin, JSON list of answers on stdout.
const { Session } = require(process.argv[2] + '/node_modules/chdb');

const session = new Session(process.argv[3]);
const answers = [];
for (const sql of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
  try {
    answers.push({ text: session.query(sql, 'TabSeparated') });
  } catch (error) {
    answers.push({ error: String(error) });
  }
}
process.stdout.write(JSON.stringify(answers));
