#!/usr/bin/env python3
"""automat lm in a terminal, the verbs that look at a model: sizes, logits, talk, judgement, smaller weights."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import harness
import lm_toy

LARGER = {'hidden': 32, 'layers': 2, 'heads': 2, 'kv_heads': 1, 'ffn': 48, 'context': 512}
LETTERS = range(lm_toy.BYTES + 32, lm_toy.BYTES + 127)


class Verbs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix='automat-dialogue-')
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.models = cls.folder / 'models'
        cls.tanka = lm_toy.write(cls.models, 'tanka', **LARGER)
        lm_toy.write(cls.models, 'villanelle', seed=2, hidden=16, layers=1, ffn=16, context=1024)
        cls.env = {name: value for name, value in os.environ.items() if not name.startswith('AUTOMAT_')}

    def lm(self, *args, status=0, said=None):
        done = subprocess.run([harness.binary(), 'lm', *args, '--models', str(self.models), '--corpus',
                               str(harness.ROOT / 'corpus'), '--threads', '1'],
                              cwd=self.folder, env=self.env, text=True, input=said, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stderr)
        self.stderr = done.stderr
        return done.stdout

    def logits(self, *args):
        return json.loads(self.lm('logits', 'tanka', *args))

    def test_params(self):
        count = sum(self.size(shape) for _, shape in lm_toy.shapes(lm_toy.config('tanka', **LARGER)))
        by_name, by_folder = self.lm('params', 'tanka'), self.lm('params', '--model', str(self.tanka))
        self.assertRegex(by_name, rf'total +{count:,} ')
        self.assertEqual(by_name, by_folder)
        self.assertIn(f'{(self.tanka / "model.safetensors").stat().st_size:,}', by_name)

    @staticmethod
    def size(shape):
        count = 1
        for side in shape:
            count *= side
        return count

    def test_logits(self):
        one = self.logits('--ids', '1,5,60')
        self.assertEqual(len(one), lm_toy.BYTES + 256)
        self.assertIn(max(range(len(one)), key=one.__getitem__), LETTERS)      # as its final bias wants
        self.assertLess(one[lm_toy.END], min(one[at] for at in LETTERS))
        self.assertEqual(one, self.logits('--ids', '1,5,60'))
        self.assertNotEqual(one, self.logits('--ids', '1,60,5'))               # places count
        for dtype, near in (('bf16', 0.2), ('int8', 0.2), ('int4', 3)):
            small = self.logits('--ids', '1,5,60', '--dtype', dtype)
            self.assertNotEqual(small, one)
            self.assertLess(max(abs(a - b) for a, b in zip(one, small)), near, dtype)

    def test_logits_of_what_is_none(self):
        for ids in ('1,5,600', '1,x', '1,,5', '-1', ','.join(['7'] * (LARGER['context'] + 1))):
            self.assertEqual(self.lm('logits', 'tanka', '--ids', ids, status=1), '')
            self.assertIn('--ids', self.stderr)
        self.lm('logits', 'tanka', status=2)
        self.lm('logits', 'tanka', '--ids', '1', '--dtype', 'f16', status=2)
        self.assertIn('--dtype', self.stderr)
        self.lm('logits', 'ode', '--ids', '1', status=1)
        self.assertIn('ode', self.stderr)

    def test_chat_with_one_question(self):
        said = self.lm('chat', 'tanka', '--prompt', 'what is a lungo?', '--max-tokens', '12', '--seed', '3')
        self.assertTrue(said.endswith('\n'))
        self.assertEqual(len(said.rstrip('\n')), 12)
        again = self.lm('chat', 'tanka', '--prompt', 'what is a lungo?', '--max-tokens', '12', '--seed', '3')
        self.assertEqual(said, again)
        other = self.lm('chat', 'tanka', '--prompt', 'what is a lungo?', '--max-tokens', '12', '--seed', '4')
        self.assertNotEqual(said, other)

    def test_chat_on_a_pipe(self):
        said = self.lm('chat', 'tanka', '--max-tokens', '8', '--seed', '3', said='hello\nand a lungo?\nand tea?\n')
        self.assertEqual([len(line) for line in said.splitlines()], [8, 8, 8])
        self.assertEqual(self.lm('chat', 'tanka', '--max-tokens', '8', said=''), '')
        self.lm('chat', 'ode', '--prompt', 'hello', status=1)
        self.assertIn('ode', self.stderr)

    def test_another_models_tokenizer(self):
        odd = lm_toy.write(self.models, 'odd', seed=4)
        about = lm_toy.tokenizer()
        about['model']['vocab']['th'] = len(about['model']['vocab'])
        about['model']['merges'] = [['t', 'h']]
        (odd / 'tokenizer.json').write_text(json.dumps(about))
        self.lm('chat', 'odd', '--model', str(odd), '--prompt', 'hello', status=1)
        self.assertIn('tokenizer', self.stderr)
        self.lm('eval', '--model', str(odd), '--count', '3', status=1)
        self.assertIn('tokenizer', self.stderr)

    def test_eval(self):
        before = sorted(path.name for path in (self.models / 'villanelle').iterdir())
        page = self.lm('eval', 'villanelle', '--count', '3', '--out', 'judged')
        self.assertIn('# villanelle', page)
        self.assertEqual((self.folder / 'judged' / 'eval.md').read_text(), page)
        about = json.loads((self.folder / 'judged' / 'eval.json').read_text())
        self.assertEqual((about['model'], about['dtype'], about['dialogues']), ('villanelle', 'f32', 3))
        self.assertGreater(about['perplexity'], 50)         # it has learned nothing
        self.assertEqual(sorted(path.name for path in (self.models / 'villanelle').iterdir()), before)
        self.assertTrue((self.folder / 'judged' / 'calibration.json').exists())

    def test_eval_passes_over_what_does_not_fit(self):
        page = self.lm('eval', 'tanka', '--count', '3', '--out', 'narrow')
        self.assertRegex(page, r'\n- \d+ dialogues, questions or texts did not fit in the context')
        about = json.loads((self.folder / 'narrow' / 'eval.json').read_text())
        self.assertGreater(about['too_long'], 0)
        self.lm('eval', 'tanka', '--count', '3', '--dtype', 'f16', status=2)
        self.assertIn('--dtype', self.stderr)

    def test_quantise(self):
        whole = self.logits('--ids', '1,5,60', '--dtype', 'int8')
        self.lm('quantise', '--model', str(self.tanka), '--out', 'small', '--dtype', 'int8')
        self.assertEqual(json.loads(self.lm('logits', '--model', 'small', '--ids', '1,5,60')), whole)
        self.assertLess((self.folder / 'small' / 'model.safetensors').stat().st_size,
                        (self.tanka / 'model.safetensors').stat().st_size)
        self.assertEqual((self.folder / 'small' / 'tokenizer.json').read_bytes(),
                         (self.tanka / 'tokenizer.json').read_bytes())
        self.lm('quantise', '--model', str(self.tanka), '--out', 'other', '--dtype', 'int5', status=2)
        self.assertFalse((self.folder / 'other').exists())

    def test_tokenizer(self):
        said = self.lm('tokenizer', '--model', str(self.tanka), '--prompt', 'a b')
        ids = [int(line.split()[0]) for line in said.splitlines()[:-1]]
        self.assertEqual(ids, [lm_toy.BYTES + ord(letter) for letter in 'a b'])
        self.assertIn('3 ids of 3 bytes', said)
        self.assertEqual(self.lm('tokenizer', '--model', str(self.tanka), '--ids', ','.join(map(str, ids))), 'a b\n')

    def test_verbs_that_are_none(self):
        self.lm('sing', status=2)
        self.assertIn('sing', self.stderr)


if __name__ == '__main__':
    harness.main()
