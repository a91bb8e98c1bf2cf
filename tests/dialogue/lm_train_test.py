#!/usr/bin/env python3
"""automat lm in a terminal: making tokens, training, being killed, going on, looking at what came of it."""
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import harness

TOY = {'model_type': 'toy', 'vocab_size': 400, 'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 4,
       'num_key_value_heads': 2, 'intermediate_size': 48, 'num_experts_per_tok': 2, 'domains': 8,
       'max_position_embeddings': 64, 'rope_theta': 10000.0, 'layer_norm_eps': 1e-6, 'vocab_used': 400, 'norm': 'pre'}
DRINKS = ('ristretto', 'espresso', 'lungo', 'cappuccino', 'flat white')
SAME = ('best/model.safetensors', 'best/config.json', 'best/tokenizer.json', 'last/model.safetensors',
        'last/state.safetensors', 'last/state.json', 'last/tokenizer.json')
TRAIN = ('--steps', '40', '--batch', '2', '--length', '32', '--validate-every', '10', '--save-every', '2', '--vocab', '300',
         '--learning-rate', '3e-3', '--patience', '100', '--threads', '2', '--seed', '5')


def texts():
    return '\n\n'.join(f'> How is a {drink} made at {hour}?\n< The {drink} is made fresh, at {hour} as always.'
                       for hour in range(1, 25) for drink in DRINKS) + '\n'


class Train(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='automat-dialogue-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / 'toy').mkdir()
        (self.folder / 'toy' / 'config.json').write_text(json.dumps(TOY))
        (self.folder / 'texts').mkdir()
        (self.folder / 'texts' / 'all.txt').write_text(texts())
        self.env = {name: value for name, value in os.environ.items() if not name.startswith('AUTOMAT_')}

    def start(self, *args):
        return subprocess.Popen([harness.binary(), 'lm', *args], cwd=self.folder, env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_lm(self, *args, status=0):
        child = self.start(*args)
        said, self.stderr = child.communicate(timeout=120)
        self.assertEqual(child.returncode, status, self.stderr)
        return said

    def train(self, out, *args, status=0):
        return self.run_lm('train', '--model', 'toy', '--data', 'texts', '--out', out, *TRAIN, *args, status=status)

    def assert_same(self, a, b):
        for name in SAME:
            self.assertEqual((self.folder / a / name).read_bytes(), (self.folder / b / name).read_bytes(), name)

    def kill_at_step(self, step, number, *args):
        """Ends a run by a signal as soon as it told that it is that far."""
        child = self.start('train', '--model', 'toy', '--data', 'texts', '--out', 'killed', *TRAIN, *args)
        try:
            metrics = self.folder / 'killed' / 'metrics.csv'
            while child.poll() is None:
                if metrics.exists() and metrics.read_text().count('\n') > step:
                    child.send_signal(number)
                    break
            child.communicate(timeout=120)
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
        return child.returncode

    def test_train_from_texts(self):
        said = self.train('out')
        self.assertIn('done', said)
        self.assertIn('step 40 of 40', said)
        self.assertRegex(said, r'best validation loss \d\.\d+, perplexity \d+\.\d+')
        rows = (self.folder / 'out' / 'metrics.csv').read_text().splitlines()
        self.assertEqual(rows[0], 'step,tokens,loss,valid_loss,valid_perplexity,learning_rate,grad_norm,tokens_per_s')
        self.assertEqual([int(row.split(',')[0]) for row in rows[1:]], list(range(1, 41)))
        self.assertEqual([row.split(',')[0] for row in rows[1:] if row.split(',')[3]], ['10', '20', '30', '40'])
        self.assertLess(float(rows[-1].split(',')[2]), 0.9 * float(rows[1].split(',')[2]))
        progress = json.loads((self.folder / 'out' / 'progress.json').read_text())
        self.assertEqual((progress['state'], progress['step'], progress['steps'], progress['eta_s']), ('done', 40, 40, 0))
        self.assertIn('</svg>', (self.folder / 'out' / 'loss.svg').read_text())
        self.assertIn('step 40 of 40', self.stderr)     # the bar, as lines where there is no terminal
        self.assertIn('tokens/s', self.stderr)
        config = json.loads((self.folder / 'out' / 'best' / 'config.json').read_text())
        self.assertEqual(config['hidden_size'], 32)

    def test_killed_and_resumed_ends_in_the_same_bytes(self):
        self.train('whole')
        self.assertEqual(self.kill_at_step(5, signal.SIGKILL), -signal.SIGKILL)
        self.assertEqual(self.kill_at_step(17, signal.SIGKILL, '--resume'), -signal.SIGKILL)
        self.assertEqual(self.kill_at_step(26, signal.SIGTERM, '--resume'), 0)
        self.assertEqual(json.loads((self.folder / 'killed' / 'progress.json').read_text())['state'], 'stopped')
        self.train('killed', '--resume')
        self.assert_same('whole', 'killed')

    def test_what_is_there_is_not_overwritten(self):
        self.train('out')
        before = (self.folder / 'out' / 'last' / 'model.safetensors').read_bytes()
        self.train('out', status=1)
        self.assertIn('--resume', self.stderr)
        self.train('out', '--batch', '4', '--resume', status=1)
        self.assertIn('batch', self.stderr)
        self.train('out', '--resume')
        self.assertEqual((self.folder / 'out' / 'last' / 'model.safetensors').read_bytes(), before)

    def test_a_refused_start_leaves_the_data_of_the_run_alone(self):
        self.train('out')
        before = {path.name: path.read_bytes() for path in (self.folder / 'out' / 'data').iterdir()}
        with (self.folder / 'texts' / 'all.txt').open('a') as text:
            text.write('\n> And tea?\n< There is none.\n')

        def assert_left_alone():
            self.assertEqual(before, {path.name: path.read_bytes() for path in (self.folder / 'out' / 'data').iterdir()})

        self.train('out', status=1)
        self.assertIn('--resume', self.stderr)
        assert_left_alone()
        with (self.folder / 'out' / 'lock').open('a') as lock:       # as a run that is at work
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.train('out', status=1)
            self.assertIn('another training', self.stderr)
            assert_left_alone()
        (self.folder / 'out' / 'last').rename(self.folder / 'out' / 'last.replaced')    # a crash in between
        self.train('out', status=1)
        self.assertIn('--resume', self.stderr)
        assert_left_alone()
        self.train('out', '--resume')
        self.assertIn('</svg>', (self.folder / 'out' / 'loss.svg').read_text())
        assert_left_alone()

    def test_a_loss_that_is_no_number(self):
        wild = ('--learning-rate', '1000', '--weight-decay', '1000', '--warmup', '0', '--steps', '400')
        self.train('out', *wild, status=1)
        self.assertIn('not a number', self.stderr)
        progress = json.loads((self.folder / 'out' / 'progress.json').read_text())
        self.assertEqual((progress['state'], progress['steps']), ('nan', 400))
        self.train('out', *wild, '--resume', status=1)      # it is what it was

    def test_token_files_and_looking_through_a_tokenizer(self):
        self.run_lm('tokenizer', '--data', 'texts', '--out', 'made', '--vocab', '300')
        self.assertEqual(sorted(path.name for path in (self.folder / 'made').iterdir()),
                         ['tokenizer.json', 'train.tok', 'valid.tok'])
        said = self.run_lm('tokenizer', '--data', 'made', '--prompt', 'A lungo, please')
        ids = [line.split()[0] for line in said.splitlines()[:-1]]
        self.assertEqual(self.run_lm('tokenizer', '--data', 'made', '--ids', ','.join(ids)), 'A lungo, please\n')
        self.run_lm('tokenizer', '--data', 'made', '--ids', '5,400', status=2)
        self.run_lm('train', '--model', 'toy', '--data', 'made', '--out', 'out', *TRAIN)
        broken = bytearray((self.folder / 'made' / 'train.tok').read_bytes())
        broken[len(broken) // 2 | 1] = 0x7f
        (self.folder / 'made' / 'train.tok').write_bytes(broken)
        self.run_lm('train', '--model', 'toy', '--data', 'made', '--out', 'other', *TRAIN, status=1)
        self.assertIn('train.tok', self.stderr)

    def test_corpus_is_the_same_for_the_same_seed(self):
        tables = str(harness.ROOT / 'corpus')
        for out, seed in (('one', '3'), ('two', '3'), ('three', '4')):
            self.run_lm('corpus', 'villanelle', '--data', tables, '--out', out, '--tokens', '30000', '--vocab', '600',
                        '--seed', seed)
        for name in ('train.tok', 'valid.tok', 'test.tok', 'tokenizer.json'):
            one, two, three = ((self.folder / out / name).read_bytes() for out in ('one', 'two', 'three'))
            self.assertEqual(one, two, name)
            self.assertNotEqual(one, three, name)
        said = self.run_lm('corpus', 'tanka', '--corpus', tables, '--text', '--count', '3')
        self.assertGreaterEqual(said.count('\n> '), 3)

    def test_tune(self):
        args = ('tune', '--model', 'toy', '--data', 'texts', '--out', 'made', '--steps', '2', '--batch', '2', '--length', '32',
                '--vocab', '300')
        said = self.run_lm(*args)
        self.assertEqual(said.count('\n| '), 10)
        self.assertRegex(said, r'best: --learning-rate \S+ --weight-decay \S+\n$')
        self.assertEqual(self.run_lm(*args), said)

    def test_words_that_are_none(self):
        self.run_lm('train', status=2)
        self.run_lm('train', 'haiku', status=2)
        self.run_lm('train', '--model', 'nowhere', status=2)
        self.run_lm('train', 'tanka', '--schedule', 'round', status=2)
        self.run_lm('train', 'tanka', '--epochs', '-1', status=2)
        self.run_lm('train', '--model', 'toy', '--data', 'toy', status=1)
        self.assertIn('nor texts', self.stderr)
        self.run_lm('quantise', '--model', 'toy', status=2)
        self.run_lm('corpus', status=2)


if __name__ == '__main__':
    harness.main()
