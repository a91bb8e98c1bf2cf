#!/usr/bin/env python3
"""Training jobs: begun, watched, cancelled, interrupted; what was learned, saved and served."""
import os
import pathlib

import harness
import lm_toy
from harness import until


def texts(folder, lines=80):
    folder.mkdir(parents=True)
    (folder / 'a.txt').write_text('\n\n'.join(f'> what is {n}?\n< it is {n + 1}, not {n}.' for n in range(lines)) + '\n')


class Train(harness.Case):
    def setUp(self):
        super().setUp()
        self.models = self.folder / 'models'
        lm_toy.write(self.models, 'tanka', vocab=4096)
        texts(self.data() / 'texts')
        self.start()

    def start(self):
        self.srv = self.server('--models', str(self.models), '--corpus', str(self.folder / 'nothing'))
        self.admin = self.srv.admin()

    def begin(self, **more):
        body = {'model': 'tanka', 'data_path': 'texts', 'batch': 2, 'length': 32, **more}
        reply = self.admin.post('/api/train', body)
        self.assertEqual((reply.status, reply.json.get('status')), (202, 'training_started'), reply)
        return reply.json['job_id']

    def job(self, job_id):
        return self.admin.get(f'/api/train/{job_id}').json

    def ended(self, job_id):
        return until(lambda: self.job(job_id)['ended_at'] and self.job(job_id), 60, what=f'job {job_id} to end')

    def stepping(self, job_id):
        return until(lambda: (self.job(job_id)['progress'] or {'step': 0})['step'] > 0 or self.job(job_id)['ended_at'],
                     60, what='the first step')

    def test_learned_saved_served(self):
        before = self.admin.get('/api/models').json['items'][0]
        job = self.ended(self.begin(steps=4))
        self.assertEqual((job['status'], job['why']), ('complete', None), self.log(1))
        self.assertEqual((job['progress']['step'], job['progress']['steps']), (4, 4))
        self.assertGreater(job['progress']['loss'], 0)
        reply = self.admin.post('/api/save-model', {'model': 'tanka', 'path': 'models/tanka', 'dtype': 'int8'})
        self.assertEqual((reply.status, reply.json['status']), (200, 'saved'), reply)
        self.assertEqual(pathlib.Path(reply.json['path']), self.models / 'tanka')
        after = self.admin.get('/api/models').json['items'][0]
        self.assertEqual((after['trained'], after['dtype']), (True, 'int8'))
        self.assertNotEqual(after['vocabulary'], before['vocabulary'])
        reply = self.srv.client().post('/api/generate', {'model': 'tanka', 'prompt': 'what is', 'max_length': 5})
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(sorted(path.name for path in self.models.iterdir()), ['tanka'])
        actions = [row['action'] for row in self.admin.get('/api/audit').json['items']]
        self.assertIn('model.train', actions)
        self.assertIn('model.save', actions)

    def log(self, job_id):
        return (self.data() / 'models' / 'jobs' / str(job_id) / 'log').read_text(errors='replace')[-2000:]

    def test_one_at_a_time_and_cancelled(self):
        job_id = self.begin(epochs=1000)
        self.refused(self.admin.post('/api/train', {'model': 'tanka', 'data_path': 'texts'}), 409, 'training_runs')
        self.stepping(job_id)
        self.assertEqual(self.job(job_id)['status'], 'running', self.log(1))
        reply = self.admin.delete(f'/api/train/{job_id}')
        self.assertEqual((reply.status, reply.json['status']), (202, 'cancelling'), reply)
        job = self.ended(job_id)
        self.assertEqual(job['status'], 'cancelled')
        self.assertTrue((self.data() / 'models' / 'jobs' / '1' / 'last').is_dir())
        self.refused(self.admin.delete(f'/api/train/{job_id}'), 409, 'already_settled')
        self.refused(self.admin.delete('/api/train/99'), 404, 'unknown_job')
        self.refused(self.admin.get('/api/train/99'), 404, 'unknown_job')
        second = self.begin(steps=1)
        self.assertFalse((self.data() / 'models' / 'jobs' / '1' / 'last').exists())
        self.assertTrue((self.data() / 'models' / 'jobs' / '1' / 'loss.svg').is_file())
        self.ended(second)
        self.assertEqual([item['job_id'] for item in self.admin.pages('/api/train/jobs?limit=1')], ['2', '1'])

    def test_a_server_that_ends_takes_the_job_along(self):
        job_id = self.begin(epochs=1000)
        self.stepping(job_id)
        child = self.child()
        self.srv.kill()
        until(lambda: not os.path.exists(f'/proc/{child}'), what='the end of the job')
        self.start()
        self.assertEqual(self.job(job_id)['status'], 'interrupted')
        again = self.begin(epochs=1000)
        self.assertEqual(again, '2')
        self.stepping(again)
        self.srv.stop()
        self.start()
        self.assertEqual(self.job(again)['status'], 'interrupted')

    def child(self):
        for path in pathlib.Path('/proc').glob('[0-9]*/status'):
            try:
                if f'\nPPid:\t{self.srv.process.pid}\n' in path.read_text():
                    return int(path.parent.name)
            except OSError:
                continue
        raise AssertionError('no job under way')

    def test_a_job_that_fails_says_why(self):
        (self.data() / 'empty').mkdir()
        job = self.ended(self.begin(data_path='empty'))
        self.assertEqual(job['status'], 'failed')
        self.assertTrue(job['why'], job)

    def test_where_it_may_learn_from(self):
        outside = self.folder / 'outside'
        outside.mkdir()
        (self.data() / 'link').symlink_to(outside)
        for path, code in (('../outside', 'path_outside'), ('texts/../../outside', 'path_outside'), ('/etc', 'path_outside'),
                           (str(outside), 'path_outside'), ('link', 'path_outside'), ('missing', 'unknown_path'),
                           ('texts/a.txt', 'unknown_path'), ('/etc/passwd', 'unknown_path')):
            with self.subTest(path):
                self.refused(self.admin.post('/api/train', {'model': 'tanka', 'data_path': path}), 422, code, 'data_path')
        for body, status, code, field in (({'model': 'gpt'}, 422, 'unknown_model', 'model'),
                                          ({'model': 'tanka', 'epochs': 0}, 422, 'out_of_limits', 'epochs'),
                                          ({'model': 'tanka', 'epochs': 'many'}, 400, 'wrong_type', 'epochs'),
                                          ({'model': 'tanka', 'shell': 'x'}, 400, 'unknown_field', 'shell'),
                                          ({}, 400, 'missing_field', 'model')):
            with self.subTest(str(body)):
                self.refused(self.admin.post('/api/train', body), status, code, field)
        self.assertEqual(self.admin.get('/api/train/jobs').json['items'], [])

    def test_where_it_may_save(self):
        outside = self.folder / 'outside'
        outside.mkdir()
        (self.models / 'window').mkdir()
        (self.models / 'link').symlink_to(outside)
        for path in ('../x', 'a/b', '/etc/x', '.x', '..', 'models/../x', 'x/', 'window', 'link', str(outside / 'x')):
            with self.subTest(path):
                self.refused(self.admin.post('/api/save-model', {'model': 'tanka', 'path': path}), 422, 'bad_path', 'path')
        self.refused(self.admin.post('/api/save-model', {'model': 'gpt', 'path': 'x'}), 422, 'unknown_model', 'model')
        self.refused(self.admin.post('/api/save-model', {'model': 'ode', 'path': 'x'}), 503, 'model_not_trained')
        self.refused(self.admin.post('/api/save-model', {'model': 'tanka', 'path': 'x', 'dtype': 'f8'}), 400,
                     'bad_value', 'dtype')
        self.assertEqual(list(outside.iterdir()), [])
        reply = self.admin.post('/api/save-model', {'model': 'tanka', 'path': str(self.models / 'copy-1')})
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual((self.models / 'copy-1' / 'model.safetensors').read_bytes(),
                         (self.models / 'tanka' / 'model.safetensors').read_bytes())


if __name__ == '__main__':
    harness.main()
