"""Brews over a link that loses a third of the requests and a third of the answers."""
import harness
from harness import until


class BadLink(harness.Case):
    ORDERS = 10

    def test_each_is_brewed_once_or_not_at_all_and_the_server_knows_which(self):
        server = self.server('--grace', '5')
        admin = server.admin()
        token = server.board().headers['Authorization'].split()[1]
        actuations = self.folder / 'actuations'
        twin = self.twin(server, 'm-1', token, '--journal', str(self.folder / 'journal'), '--actuations',
                         str(actuations), '--fault', 'link_loss', speed=100)
        for _ in range(self.ORDERS):
            command = admin.order('m-1')
            until(lambda number=command: admin.state(number) not in ('pending', 'running'), seconds=600, what='the end')
            shown = admin.show(command)
            starts = actuations.read_text() if actuations.exists() else ''
            moved = starts.count(f'"uid":"{shown["uid"]}","what":"motion"')
            self.assertIn(shown['state'], ('complete', 'failed'), twin.log()[-2000:])
            self.assertEqual(moved, 0 if shown['reason'] == 'not_started' else 1, shown)
            admin.post('/api/machines/m-1/release', {})


if __name__ == '__main__':
    harness.main()
