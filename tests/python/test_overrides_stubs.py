#!/usr/bin/python3
# test_overrides_stubs.py: compares the stubs with the typelib, and checks where files go
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import gi
import taprun
from gi.repository import GObject
from gmsgtest import DEADLINE, GMsg

OVERRIDES = Path(os.environ['GMSG_TEST_OVERRIDES'])
STUBS = OVERRIDES / 'GMsg.pyi'

# Our stubs refer to these parts of the stubs for PyGObject's own modules, which Debian does not
# package.
PLATFORM = {
    'gi/__init__.pyi': 'def require_version(namespace: str, version: str) -> None: ...\n',
    'gi/repository/__init__.pyi': '',
    'gi/repository/GLib.pyi': '''
from typing import Any
class Error(RuntimeError):
    message: str
    domain: str
    code: int
    def matches(self, domain: int, code: int) -> bool: ...
class MainContext: ...
class Bytes: ...
class Variant:
    def __init__(self, format_string: str, value: Any) -> None: ...
''',
    'gi/repository/GObject.pyi': '''
from typing import Any, Callable
class GEnum(int): ...
class Object:
    class Props: ...
    def connect(self, detailed_signal: str, handler: Callable[..., Any], *args: Any) -> int: ...
''',
    'gi/repository/Gio.pyi': '''
from gi.repository import GObject
class AsyncResult: ...
class Subprocess: ...
class SubprocessLauncher: ...
class Cancellable(GObject.Object):
    def is_cancelled(self) -> bool: ...
''',
}

GOOD = '''
import asyncio
import concurrent.futures
import sys
import gi
gi.require_version("GMsg", "1")
from gi.repository import Gio, GLib, GMsg
from pathlib import Path
from typing import NamedTuple, Optional, TypedDict

class Progress(TypedDict):
    done: int
    parts: list[str]

class Tagged(Progress, total=False):
    tag: str

class Point(NamedTuple):
    x: int
    y: int

class Scalar:
    @property
    def dtype(self) -> str:
        return "f"
    @property
    def shape(self) -> tuple[()]:
        return ()
    def item(self, *args: int) -> float:
        return 0.5

def send_others(sender: GMsg.Sender, data: GLib.Bytes, scalar: Scalar, progress: Progress) -> None:
    sender.send(progress)
    sender.send([progress])
    sender.send({"a": progress})
    sender.send(Tagged(done=1, parts=["a"], tag="b"))
    sender.send(Point(1, 2))
    sender.send(data)
    sender.send(scalar)
    sender.send(bytearray(b"a"))
    sender.send(memoryview(b"a"))
    sender.send(Path("a"))

def work(sender: GMsg.Sender) -> None:
    with sender as entered:
        entered.send({"a": [1, (None, b"x")]})
        for number in (1, 2.5):
            entered.send(number)
        entered.send("text")
        entered.send(None)
        entered.send((2, [True]))
        entered.send({3: "c"})
        entered.send(GLib.Variant("u", 1))
        cancelled: bool = sender.get_cancellable().is_cancelled()
    failed: bool = sender.fail(OSError()) or sender.fail("text") or sender.fail(GLib.Error())

def message_cb(receiver: GMsg.Receiver, message: GLib.Variant) -> None:
    print(GMsg.unpack(message), receiver.props.n_received + receiver.get_n_dropped())

def finished_cb(receiver: GMsg.Receiver, error: Optional[GLib.Error]) -> None: ...

def ready_cb(receiver: GMsg.Receiver) -> None:
    for message in receiver.take() + receiver.take(max=receiver.props.n_waiting):
        message_cb(receiver, message)

async def take(receiver: GMsg.Receiver) -> Optional[GLib.Variant]:
    receiver.connect("ready", ready_cb)
    async for message in receiver:
        message_cb(receiver, message)
    async for batch in receiver.batches(10):
        message_cb(receiver, batch[0])
    return await receiver.next()

def start(sender: GMsg.Sender, launcher: Gio.SubprocessLauncher) -> None:
    if sender.get_id() == 1:
        process: Gio.Subprocess = sender.spawn([sys.executable, Path("worker.py")], launcher=launcher)
    with concurrent.futures.ProcessPoolExecutor() as executor:
        executor.submit(work, sender)

with GMsg.Router(budget=0) as router:
    router.props.priority = 100
    sender, receiver = router.pipe()
    sender, receiver = router.pipe(capacity=1, overflow=GMsg.Overflow.DROP_OLDEST)
    receiver.connect("message", message_cb)
    receiver.connect("finished", finished_cb)
    receiver.connect("notify::state", lambda receiver, pspec: None)
    try:
        router.route_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED, timeout=1.5)
    except GMsg.TimeoutError as error:
        print(error.message, error.errno, error.matches(GMsg.Error.quark(), GMsg.Error.TIMED_OUT))
    router.shutdown_async(5, lambda router, result: print(router.shutdown_finish(result)))

async def shut_down(router: GMsg.Router) -> bool:
    return await router.shutdown_async(timeout=5)
'''

# Each line must be an error.
BAD = '''
sender.send({1, 2})
sender.send(object())
sender.send({b"a": 1})
sender.send({"a"}.union)
router.route_until(5000, lambda: True)
router.pipe(overflow=GMsg.Overflow.FAIL)
router.pipe(1, GMsg.Overflow.FAIL)
receiver.props.n_received = 1
router.props.running = True
router.no_such_method()
sender.spawn(None, ["true"])
sender.spawn([1])
class Own(GMsg.Router): pass
sender.spawn(b"true")
for message in receiver: pass
number: int = sender.get_state
router.shutdown_async(5, lambda: None)
'''


def has_mypy():
    return importlib.util.find_spec('mypy') is not None


def stub_classes():
    tree = ast.parse(STUBS.read_text(encoding='utf-8'))
    return tree, {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def functions(body):
    """Returns the functions of a stub, as lists by name: they may be overloaded."""
    found = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, []).append(node)
    return found


def is_property(node):
    return any(isinstance(decorator, ast.Name) and decorator.id == 'property'
               for decorator in node.decorator_list)


def parameters(node):
    """Returns the names of the parameters of a stub, without self, and of the keyword-only ones."""
    arguments = node.args
    names = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    if names and names[0] in ('self', 'cls'):
        names = names[1:]
    return names, [argument.arg for argument in arguments.kwonlyargs]


def raw_parameters(info):
    """Returns the names of the parameters that PyGObject gives a C function."""
    arguments = info.get_arguments()
    hidden = {arguments[index].get_name()
              for argument in arguments
              for index in (argument.get_closure(), argument.get_destroy()) if index >= 0}
    return [argument.get_name() for argument in arguments
            if argument.get_direction() != gi._gi.Direction.OUT and argument.get_name() not in hidden]


class StubsTest(unittest.TestCase):

    def setUp(self):
        self.tree, self.classes = stub_classes()
        self.infos = {info.get_name(): info
                      for info in gi.Repository.get_default().get_infos('GMsg')}

    def of_kind(self, kind):
        return {name: info for name, info in self.infos.items()
                if type(info).__name__ == kind}

    def test_every_name_is_on_both_sides(self):
        stubbed = set(self.classes) | set(functions(self.tree.body))
        for node in self.tree.body:
            if isinstance(node, ast.AnnAssign):
                stubbed.add(node.target.id)
        # These exist only for type checkers. Class structures and the types of callbacks exist
        # only for C.
        stubbed -= {'Value', '_Scalar'}
        present = set(GMsg._overrides_module.__dict__) & {'unpack', 'TimeoutError', 'Router', 'Sender', 'Receiver'}
        self.assertEqual(len(present), 5)
        for name, info in self.infos.items():
            if type(info).__name__ not in ('CallbackInfo', 'StructInfo'):
                present.add(name)
        self.assertEqual(stubbed, present)
        for name in stubbed:
            self.assertTrue(hasattr(GMsg, name), name)

    def test_methods(self):
        for class_name, info in self.of_kind('ObjectInfo').items():
            stubs = {name: nodes for name, nodes in functions(self.classes[class_name].body).items()
                     if not any(map(is_property, nodes))}
            raw = {method.get_name(): method for method in info.get_methods()}
            own = {name: value for name, value in vars(getattr(GMsg, class_name)).items()
                   if inspect.isfunction(value)}
            # __iter__() always raises, so it has no stub; connect() and __init__() are GObject's.
            own.pop('__iter__', None)
            self.assertEqual(set(stubs) - {'connect', '__init__'}, set(raw) | set(own), class_name)

            for name, nodes in stubs.items():
                for node in nodes:
                    with self.subTest(method=f'{class_name}.{name}'):
                        self.check_method(name, node, own.get(name), raw.get(name))

    def check_method(self, name, node, function, info):
        if function is not None:
            signature = inspect.signature(function)
            expected = [parameter.name for parameter in signature.parameters.values()][1:]
            names, keywords = parameters(node)
            if name == '__exit__':
                self.assertEqual(len(names), 3)
            elif name == 'pipe':
                self.assertEqual(names, [])
                self.assertIn(keywords, ([], expected))
            else:
                self.assertEqual(names + keywords, expected)
            self.assertEqual(isinstance(node, ast.AsyncFunctionDef), inspect.iscoroutinefunction(function))
        elif info is not None:
            names, keywords = parameters(node)
            self.assertEqual(names, raw_parameters(info))
            self.assertEqual(keywords, [])
            self.assertEqual(ast.unparse(node.returns) == 'None',
                             info.get_return_type().get_tag_as_string() == 'void')
        else:
            self.assertIn(name, ('connect', '__init__'))

    def test_enumerations(self):
        for name, info in self.of_kind('EnumInfo').items():
            stubbed = {node.target.id: ast.unparse(node.annotation)
                       for node in self.classes[name].body if isinstance(node, ast.AnnAssign)}
            members = {value.get_name().upper() for value in info.get_values()}
            self.assertEqual(stubbed, {member: f'ClassVar[{name}]' for member in members})
            self.assertEqual(set(functions(self.classes[name].body)),
                             {method.get_name() for method in info.get_methods()})
            for member in members:
                self.assertIsInstance(getattr(GMsg, name)(getattr(getattr(GMsg, name), member)), int)

    def test_properties(self):
        for class_name, info in self.of_kind('ObjectInfo').items():
            props = next(node for node in self.classes[class_name].body
                         if isinstance(node, ast.ClassDef) and node.name == 'Props')
            writable = {node.target.id: ast.unparse(node.annotation)
                        for node in props.body if isinstance(node, ast.AnnAssign)}
            readable = {name: ast.unparse(nodes[0].returns)
                        for name, nodes in functions(props.body).items()}
            expected = {property.get_name().replace('-', '_'): property
                        for property in info.get_properties()}
            self.assertEqual({*writable, *readable}, {*expected})
            getters = functions(self.classes[class_name].body)
            for name, property in expected.items():
                flags = property.get_flags()
                can_write = bool(flags & GObject.ParamFlags.WRITABLE
                                 and not flags & GObject.ParamFlags.CONSTRUCT_ONLY)
                self.assertEqual(name in writable, can_write, name)
                # The property has the type of its getter.
                self.assertEqual({**readable, **writable}[name],
                                 ast.unparse(getters['get_' + name][0].returns), name)

            constructor = functions(self.classes[class_name].body).get('__init__')
            settable = {name for name, property in expected.items()
                        if property.get_flags() & GObject.ParamFlags.WRITABLE}
            if class_name == 'Router':
                self.assertEqual(set(parameters(constructor[0])[1]), settable)

    def test_signals(self):
        for class_name, info in self.of_kind('ObjectInfo').items():
            literals = set()
            for node in functions(self.classes[class_name].body).get('connect', []):
                annotation = ast.unparse(node.args.args[1].annotation)
                match = re.fullmatch(r"Literal\['(.*)'\]", annotation)
                if match:
                    literals.add(match[1])
            self.assertEqual(literals, {signal.get_name() for signal in info.get_signals()})

    @unittest.skipIf(not has_mypy(), 'mypy is not installed')
    def test_mypy(self):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            for name, text in {**PLATFORM, 'good.py': GOOD, 'bad.py': GOOD + BAD}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding='utf-8')
            (root / 'gi/repository/GMsg.pyi').write_bytes(STUBS.read_bytes())

            def run(*names):
                return subprocess.run(
                    [sys.executable, '-m', 'mypy', '--strict', '--no-error-summary', '--hide-error-context',
                     '--cache-dir', root / 'cache', *names],
                    # A preloaded sanitizer has nothing to find in mypy.
                    cwd=root, env={**os.environ, 'MYPYPATH': directory, 'LD_PRELOAD': ''}, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=5 * DEADLINE)

            process = run('gi/repository/GMsg.pyi', 'good.py')
            self.assertEqual(process.stdout, '')
            self.assertEqual(process.returncode, 0)

            process = run('bad.py')
            found = {int(line) for line in re.findall(r'^bad\.py:(\d+): error: ', process.stdout, re.MULTILINE)}
            first = GOOD.count('\n') + 2
            wanted = set(range(first, first + BAD.count('\n') - 1))
            self.assertEqual(found, wanted, process.stdout)


class DirectoryTest(unittest.TestCase):
    """The directory that python-dir.py chooses for the overrides"""

    def setUp(self):
        spec = importlib.util.spec_from_file_location('python_dir', OVERRIDES / 'python-dir.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.find = module.find_directory

    def test_beside_pygobject(self):
        self.assertEqual(self.find(Path('/usr'), Path('/usr/lib/python3/dist-packages'),
                                   [Path('/usr/local/lib/python3.11/dist-packages')]),
                         Path('/usr/lib/python3/dist-packages'))

    def test_where_python_searches(self):
        searched = [Path('/usr/local/lib/python3.11/dist-packages'), Path('/usr/lib/python3.11/dist-packages')]
        pygobject = Path('/opt/gi/lib')
        self.assertEqual(self.find(Path('/usr/local'), pygobject, searched), searched[0])
        self.assertEqual(self.find(Path('/usr'), pygobject, searched), searched[1])

    def test_where_python_does_not_search(self):
        found = self.find(Path('/opt/other'), Path('/usr/lib/python3/dist-packages'), [])
        self.assertRegex(os.fspath(found), r'^/opt/other/lib/python3\.\d+/site-packages$')

    def test_directory_is_searched(self):
        with tempfile.TemporaryDirectory() as directory:
            overrides = Path(directory) / 'gi' / 'overrides'
            overrides.mkdir(parents=True)
            text = (OVERRIDES / 'GMsg.py').read_text(encoding='utf-8')
            (overrides / 'GMsg.py').write_text(text + "\nmark = 'seen'\n__all__.append('mark')\n", encoding='utf-8')
            process = subprocess.run(
                [sys.executable, '-c', "import gi; gi.require_version('GMsg', '1')\n"
                 'from gi.repository import GMsg; print(GMsg.mark)'],
                env={**os.environ, 'PYTHONPATH': directory}, text=True, stdout=subprocess.PIPE, timeout=DEADLINE)
            self.assertEqual(process.stdout, 'seen\n')

    def test_pythonpath_of_the_build(self):
        process = subprocess.run(
            [sys.executable, '-c', "import gi; gi.require_version('GMsg', '1')\n"
             'from gi.repository import GMsg; print(GMsg.unpack.__name__)'],
            text=True, stdout=subprocess.PIPE, timeout=DEADLINE)
        self.assertEqual(process.stdout, 'unpack\n')


class RawTest(unittest.TestCase):

    def test_without_overrides(self):
        """The tests of the raw typelib never see installed overrides."""
        process = subprocess.run(
            [sys.executable, '-c', 'from gmsgtest import GMsg; print(hasattr(GMsg, "unpack"))'],
            cwd=Path(__file__).resolve().parent, text=True, stdout=subprocess.PIPE, timeout=DEADLINE,
            env={name: value for name, value in os.environ.items() if name != 'GMSG_TEST_OVERRIDES'})
        self.assertEqual(process.stdout, 'False\n')


if __name__ == '__main__':
    taprun.main()
