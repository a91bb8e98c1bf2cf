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
            moved = actuations.exists() and actuations.read_text().count(f'"uid":"{shown["uid"]}","what":"motion"')
            if shown['state'] == 'complete':
                self.assertEqual(moved, 1, shown)
            else:
                self.assertEqual((shown['state'], shown['reason']), ('failed', 'not_started'), twin.log()[-2000:])
                self.assertFalse(moved, shown)
            admin.post('/api/machines/m-1/release', {})


if __name__ == '__main__':
    harness.main()
