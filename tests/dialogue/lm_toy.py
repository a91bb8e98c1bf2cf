"""A language model small enough for a test, written as a folder that the server takes: config.json,
model.safetensors with random weights, tokenizer.json with bytes and nothing learned.

Its final bias points to the letters, so that it says printable nonsense and never ends by itself."""
import array
import json
import pathlib
import random
import struct

SPECIALS = ['<|pad|>', '<|begin|>', '<|end|>', '<|system|>', '<|facts|>', '<|user|>', '<|assistant|>', '<|recipe|>',
            '<|classify|>', '<|summarize|>', *(f'<|reserved{n}|>' for n in range(10, 16))]
BYTES = 16                                       # where the 256 bytes begin
END = 2


def _alphabet():
    """Bytes as the letters that stand for them in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + len(letters) - len(plain))
    return letters


def tokenizer(doublings=0):
    """With `doublings` it also knows aa, aaaa, ...: the last id is 2 ** doublings letters long."""
    letters = _alphabet()
    merges = [('a' * 2 ** n, 'a' * 2 ** n) for n in range(doublings)]
    vocab = {name: number for number, name in enumerate(SPECIALS)}
    vocab.update({letters[byte]: BYTES + byte for byte in range(256)})
    vocab.update({left + right: BYTES + 256 + n for n, (left, right) in enumerate(merges)})
    added = [{'id': number, 'content': name, 'single_word': False, 'lstrip': False, 'rstrip': False,
              'normalized': False, 'special': True} for number, name in enumerate(SPECIALS)]
    return {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added, 'normalizer': None,
            'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True},
            'post_processor': None,
            'decoder': {'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': True, 'use_regex': True},
            'model': {'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
                      'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False, 'ignore_merges': False,
                      'vocab': vocab, 'merges': [f'{left} {right}' for left, right in merges]}}


def config(name, hidden=32, layers=2, heads=2, kv_heads=1, ffn=48, context=512, vocab=BYTES + 256, used=BYTES + 256):
    """`vocab`: rows for what a tokenizer may learn; `used` of them are in use."""
    return {'model_type': name, 'vocab_size': vocab, 'vocab_used': used, 'hidden_size': hidden,
            'num_hidden_layers': layers, 'num_attention_heads': heads, 'num_key_value_heads': kv_heads,
            'intermediate_size': ffn, 'max_position_embeddings': context, 'rope_theta': 10000, 'layer_norm_eps': 1e-6,
            'domains': 8, 'norm': 'pre', 'tie_word_embeddings': True, 'hidden_act': 'silu'}


def shapes(about):
    """Names and shapes in the order of the reference."""
    hidden, kv = about['hidden_size'], about['num_key_value_heads'] * (about['hidden_size'] //
                                                                      about['num_attention_heads'])
    yield 'tok.weight', (about['vocab_size'], hidden)
    yield 'pos.weight', (about['max_position_embeddings'], hidden)
    for layer in range(about['num_hidden_layers']):
        for name, shape in (('dom', (8, hidden)), ('blend', (1,)), ('ln1.weight', (hidden,)), ('ln1.bias', (hidden,)),
                            ('ln2.weight', (hidden,)), ('ln2.bias', (hidden,)), ('wq.weight', (hidden, hidden)),
                            ('wk.weight', (kv, hidden)), ('wv.weight', (kv, hidden)), ('wo.weight', (hidden, hidden)),
                            ('dom_w.weight', (8, hidden)),
                            ('ff.w1.weight', (2 * about['intermediate_size'], hidden)),
                            ('ff.w2.weight', (hidden, about['intermediate_size']))):
            yield f'blocks.{layer}.{name}', shape
    yield 'norm.weight', (hidden,)
    yield 'norm.bias', (hidden,)


def _values(name, shape, rng, longest):
    count = 1
    for side in shape:
        count *= side
    if name.endswith(('ln1.weight', 'ln2.weight', 'norm.weight')):
        return [1.0] * count
    if name == 'norm.bias':
        return [0.5] * count
    if name.endswith('bias') or name.endswith('blend'):
        return [0.0] * count
    values = [rng.gauss(0, 0.05) for _ in range(count)]
    if name == 'tok.weight':
        for token in range(shape[0]):
            letter = token == longest if longest else BYTES + 32 <= token < BYTES + 127
            lift = 0.2 if letter else -1.0
            for at in range(token * shape[1], (token + 1) * shape[1]):
                values[at] += lift
    return values


def write(models, name, seed=1, doublings=0, **more):
    """models/NAME, and where it is.  With `doublings` it says nothing but its longest id."""
    if doublings:
        more['vocab'] = more['used'] = BYTES + 256 + doublings
    folder = pathlib.Path(models) / name
    folder.mkdir(parents=True)
    about, rng = config(name, **more), random.Random(seed)
    longest = about['vocab_used'] - 1 if doublings else None
    header, parts, at = {}, [], 0
    for tensor, shape in shapes(about):
        data = array.array('f', _values(tensor, shape, rng, longest)).tobytes()
        header[tensor] = {'dtype': 'F32', 'shape': list(shape), 'data_offsets': [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    head = json.dumps(header).encode()
    head += b' ' * (-len(head) % 8)
    (folder / 'model.safetensors').write_bytes(struct.pack('<Q', len(head)) + head + b''.join(parts))
    (folder / 'config.json').write_text(json.dumps(about))
    (folder / 'tokenizer.json').write_text(json.dumps(tokenizer(doublings)))
    return folder
