#!/usr/bin/python3
# test_tool.py: uses the program gmsgrouter as scripts and people do
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import taprun  # noqa: E402
from natsserver import NatsServer  # noqa: E402
from programs import DEADLINE_S, read_terminal, wait_until  # noqa: E402

TOOL = os.environ['GMSGROUTER']
# Scripts find the program by PATH.
ENVIRONMENT = {**os.environ, 'PATH': os.path.dirname(TOOL) + os.pathsep + os.environ['PATH'],
               'G_DEBUG': 'fatal-warnings', 'LC_ALL': 'C.UTF-8'}
ENVIRONMENT.pop('GMSG_ADDRESS', None)
# For tests that lose messages on purpose
WARNING_ENVIRONMENT = {**ENVIRONMENT, 'G_DEBUG': 'fatal-criticals'}

# The largest message that a router takes, and the length of a string in it
MAX_SIZE = 64 << 20
MAX_LENGTH = MAX_SIZE - 1

CANCELLED = b'gmsgrouter run: Cancelled; waiting for the workers to end (interrupt again to stop at once)\n'


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='gmsgrouter-')
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(taprun.end_children)

    def path(self, name):
        return os.path.join(self.directory, name)

    def tool(self, *arguments, status=0, stdin=b'', errors=b'', **options):
        """Runs the program, and returns what it has printed."""
        process = subprocess.run([TOOL, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 timeout=DEADLINE_S, env=ENVIRONMENT, **options)
        self.assertEqual((process.returncode, process.stderr if errors is not None else None), (status, errors))
        return process.stdout

    def shell(self, script, **options):
        """Returns what "gmsgrouter run" prints of a script's messages."""
        return self.tool('run', '--', 'sh', '-c', script, **options)

    def start(self, *arguments, **options):
        process = subprocess.Popen([TOOL, *arguments], **{
            'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'env': ENVIRONMENT,
            **options})
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            self.addCleanup(stream.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assert_ends(self, process, status):
        output, errors = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, status, errors)
        return output, errors

    def end(self, *arguments, status, **options):
        return self.assert_ends(self.start(*arguments, **options), status)

    def wait_for_status(self, status):
        """Waits for the status that a script has written into a file."""
        path = self.path('status')
        wait_until(lambda: os.path.exists(path) and os.path.getsize(path))
        with open(path, encoding='ascii') as stream:
            self.assertEqual(stream.read(), f'{status}\n')


class UsageTest(ToolTest):
    def test_help(self):
        for arguments in ([], ['run'], ['send'], ['listen']):
            with self.subTest(arguments=arguments):
                output = self.tool(*arguments, '--help').decode()
                self.assertIn(f'Usage:\n  {" ".join(["gmsgrouter", *arguments])} ', output)

    def test_c_locale(self):
        for arguments, status in ((['--help'], 0), (['run', '--help'], 0), (['frobnicate\xe4'], 125)):
            process = subprocess.run([TOOL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env={**ENVIRONMENT, 'LC_ALL': 'C'}, timeout=DEADLINE_S)
            self.assertEqual(process.returncode, status)
            self.assertTrue((process.stdout + process.stderr).isascii())
            self.assertNotIn(b'?', process.stdout)

    def test_version(self):
        self.assertRegex(self.tool('--version'), rb'\Agmsgrouter \d+\.\d+\.\d+\n\Z')

    def test_wrong_usage(self):
        for arguments in ([], ['frobnicate'], ['--frobnicate'], ['run'], ['run', '--'], ['run', '--frobnicate', 'true'],
                          ['run', '--format=xml', 'true'], ['run', '--capacity=0', 'true'],
                          ['run', '--capacity=many', 'true'], ['run', '--overflow=spill', 'true'],
                          ['run', '--address=elsewhere', 'true'],
                          ['send', '--frobnicate'], ['send', '--'], ['send', 'value', '--', 'true'],
                          ['listen'], ['listen', 'unix:path=/1', 'unix:path=/2'], ['listen', 'elsewhere'],
                          ['listen', '--pipes=0', 'unix:path=/1'], ['listen', '--format=', 'unix:path=/1']):
            with self.subTest(arguments=arguments):
                process = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, timeout=DEADLINE_S, env=ENVIRONMENT)
                self.assertEqual((process.returncode, process.stdout), (125, b''))
                self.assertRegex(process.stderr, rb'\Agmsgrouter( run| send| listen)?: [^\n]+\n\Z')

    def test_no_router(self):
        process = subprocess.run([TOOL, 'send', 'value'], stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 125)
        self.assertIn(b'GMSG_ADDRESS', process.stderr)


class RunTest(ToolTest):
    def test_values(self):
        self.assertEqual(self.tool('run', '--', 'gmsgrouter', 'send', 'one', 'two words', ''), b'one\ntwo words\n\n')

    def test_without_the_dashes(self):
        self.assertEqual(self.tool('run', 'gmsgrouter', 'send', '-j', '[1]'), b'[<int64 1>]\n')

    def test_dashes_of_the_command(self):
        self.assertEqual(self.tool('run', 'gmsgrouter', 'send', '--', 'printf', '--', '%s\n', '-x'), b'-x\n')

    def test_text_of_other_types(self):
        output = self.tool('run', '--', 'gmsgrouter', 'send', '--json', 'null', 'true', '7', '0.5', '"text"', '[1]',
                           '{"key": "value"}')
        self.assertEqual(output.decode().splitlines(),
                         ['nothing', 'true', '7', '0.5', 'text', '[<int64 1>]', "{'key': <'value'>}"])

    def test_json_comes_back_as_it_went(self):
        values = ['null', 'true', 'false', '0', '9223372036854775807', '0.1', '1.0', '1e+30', '3.141592653589793',
                  '4.94065645841247e-324', '1.7976931348623157e+308', '""', '"\\"\\\\/"', '"\\n\\t\\u0001\\u007f"', '"grüße ☺"',
                  '[]', '[[],{},null]', '{}', '{"a":{"b":[1,2.5,"c"]},"":0}']
        output = self.tool('run', '--format=json', '--', 'gmsgrouter', 'send', '--json', *values)
        self.assertEqual(output.decode().splitlines(), values)

    def test_json_of_what_json_has_not(self):
        script = 'printf "\\\\377\\\\n" | gmsgrouter send'
        self.assertEqual(self.tool('run', '-f', 'json', 'sh', '-c', script), b'[255]\n')
        self.assertEqual(self.tool('run', '-f', 'json', 'gmsgrouter', 'send', '-j', '1e999', '[-1e999]'), b'null\n[null]\n')

    def test_status_of_the_command(self):
        for status in (1, 2, 125, 255):
            with self.subTest(status=status):
                self.shell(f'exit {status}', status=status, errors=None)
                self.shell(f'gmsgrouter send x; exit {status}', status=status)

    def test_signal_of_the_command(self):
        _, errors = self.end('run', '--', 'sh', '-c', 'kill -9 $$', status=128 + 9)
        self.assertRegex(errors, rb'\Agmsgrouter run: [^\n]*signal 9[^\n]*\n\Z')

    def test_pipe_that_did_not_end_well(self):
        _, errors = self.end('run', '--', 'true', status=1)
        self.assertRegex(errors, rb'\Agmsgrouter run: [^\n]*did not open the pipe[^\n]*\n\Z')

    def test_command_that_can_not_be_run(self):
        for command, status in (('nonesuch', 127), ('/etc/passwd', 126)):
            with self.subTest(command=command):
                _, errors = self.end('run', '--', command, status=status)
                self.assertIn(os.fsencode(command), errors)

    def test_waits_for_the_command(self):
        script = f'gmsgrouter send x; sleep 0.2; echo done >{shlex.quote(self.path("done"))}'
        self.assertEqual(self.shell(script), b'x\n')
        self.assertTrue(os.path.exists(self.path('done')))

    def test_streams_of_the_command(self):
        self.assertEqual(self.shell('cat; gmsgrouter send message', stdin=b'input\n'), b'input\nmessage\n')

    def test_lines_come_at_once(self):
        process = self.start('run', '--', 'sh', '-c', '{ echo 1; read line; echo "$line"; } | gmsgrouter send',
                             stdin=subprocess.PIPE)
        # Nothing more comes before this message has been read.
        self.assertEqual(process.stdout.readline(), b'1\n')
        process.stdin.write(b'2\n')
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b'2\n')
        self.assert_ends(process, 0)

    def test_order_and_number_of_many(self):
        expected = b''.join(b'%d\n' % number for number in range(1, 200001))
        self.assertEqual(self.shell('seq 200000 | gmsgrouter send'), expected)
        self.assertEqual(self.tool('run', '-c', '1', 'gmsgrouter', 'send', '--', 'seq', '2000'),
                         b''.join(b'%d\n' % number for number in range(1, 2001)))

    def test_overflow_drop_oldest(self):
        process = self.start('run', '--capacity=1', '--overflow=drop-oldest', '--', 'sh', '-c',
                             f'seq 500000 | gmsgrouter send; echo >{shlex.quote(self.path("sent"))}')
        wait_until(lambda: os.path.exists(self.path('sent')))
        lines = self.assert_ends(process, 0)[0].splitlines()
        self.assertLess(len(lines), 500000)
        self.assertEqual(lines[-1], b'500000')

    def test_overflow_fail(self):
        process = self.start('run', '--capacity=1', '--overflow=fail', '--', 'sh', '-c',
                             'seq 500000 | gmsgrouter send')
        # The output has a reader only now.
        wait_until(lambda: select.select([process.stderr], [], [], 0)[0])
        _, errors = self.assert_ends(process, 1)
        self.assertIn(b'gmsgrouter run: Line ', errors)

    def test_memory_where_nobody_reads(self):
        # The lines are longer than most file names.
        process = self.start('run', '--', 'sh', '-c', f'yes {"x" * 100} | gmsgrouter send')
        switches = []

        def is_still():
            """Tells whether no process has done anything since the last call."""
            switches.append([status['voluntary_ctxt_switches'] + status['nonvoluntary_ctxt_switches']
                             for status in read_descendants(process.pid)])
            time.sleep(0.1)
            return is_full(process.stdout) and len(switches) > 1 and switches[-1] == switches[-2]

        wait_until(is_still)
        statuses = read_descendants(process.pid)
        self.assertEqual([status['Name'] for status in statuses], ['gmsgrouter', 'sh', 'yes', 'gmsgrouter'])
        for status in statuses:
            self.assertLessEqual(int(status['VmHWM'].split()[0]), 32 << 10, status)

    def test_output_that_can_not_be_written(self):
        with open('/dev/full', 'wb') as full:
            # The status of the cancelled command does not matter.
            _, errors = self.end('run', '--', 'sh', '-c', 'gmsgrouter send x; exit 3', stdout=full, status=1)
        self.assertEqual(errors, b'gmsgrouter run: Could not write: No space left on device\n')

    def test_closed_streams(self):
        for redirection, status in (('>&-', 1), ('<&-', 1), ('2>&-', 0)):
            with self.subTest(redirection=redirection):
                command = f'gmsgrouter run -- sh -c "gmsgrouter send" {redirection}'
                process = subprocess.run(['sh', '-c', command], input=b'x\n', env=ENVIRONMENT, timeout=DEADLINE_S,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertEqual(process.returncode, status, process.stderr)

    def test_broken_pipe(self):
        process = self.start('run', '--', 'sh', '-c', f'yes | gmsgrouter send; echo $? >{shlex.quote(self.path("status"))}')
        self.assertEqual(process.stdout.readline(), b'y\n')
        process.stdout.close()
        self.assertEqual(process.wait(DEADLINE_S), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b'')
        self.wait_for_status(130)

    def test_broken_pipe_and_a_command_that_does_not_care(self):
        fifo = self.path('fifo')
        os.mkfifo(fifo)
        told = self.path('told')
        # It ignores the signal of "send", and reads until the test has ended.
        worker = f"gmsgrouter send -- sh -c \"trap '' TERM; yes; read line <{fifo}\""
        process = self.start('run', '--', 'sh', '-c', f'trap "echo >{told}; exit" TERM; {worker} & wait')
        self.addCleanup(lambda: os.close(os.open(fifo, os.O_RDWR)))
        process.stdout.close()
        self.assertEqual(process.wait(DEADLINE_S), -signal.SIGPIPE)
        wait_until(lambda: os.path.exists(told))


class InterruptTest(ToolTest):
    def test_first_cancels(self):
        process = self.start('run', '--', 'gmsgrouter', 'send', stdin=subprocess.PIPE)
        process.stdin.write(b'1\n')
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b'1\n')
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE_S), 130)
        self.assertEqual(self.assert_ends(process, 130), (b'', CANCELLED))

    def test_messages_after_the_cancellation(self):
        script = ('gmsgrouter send -- sh -c "trap \'echo last >&2; exit 3\' TERM; echo first; '
                  'while :; do sleep 0.01; done"')
        process = self.start('run', '--', 'sh', '-c', script)
        self.assertEqual(process.stdout.readline(), b'first\n')
        process.send_signal(signal.SIGTERM)
        _, errors = self.assert_ends(process, 130)
        # The shell may also say that its child was terminated.
        self.assertTrue(errors.startswith(CANCELLED) and errors.endswith(b'last\n'), errors)

    def test_second_stops(self):
        # The shell of the command ignores the signal; its children would not.
        process = self.start('run', '--', 'sh', '-c',
                             'gmsgrouter send -- sh -c "trap \'\' TERM; echo 1; read line"; exit 1',
                             stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b'1\n')
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stderr.readline(), CANCELLED)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE_S), 130)
        # The command still waits for its input, since it ignores the signal.
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b'')

    def test_second_stops_where_nobody_reads(self):
        process = self.start('run', '--', 'sh', '-c', f'echo >{shlex.quote(self.path("up"))}; yes | gmsgrouter send',
                             env=WARNING_ENVIRONMENT)
        wait_until(lambda: os.path.exists(self.path('up')))
        wait_until(lambda: is_full(process.stdout))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stderr.readline(), CANCELLED)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE_S), 130)

    def start_full(self, command):
        """Starts a "send" that waits for room, and later writes its status."""
        process = self.start('run', '--', 'sh', '-c', f'{command}; echo $? >{shlex.quote(self.path("status"))}',
                             env=WARNING_ENVIRONMENT)
        wait_until(lambda: is_full(process.stdout))
        return process

    def test_cancelled_while_nobody_reads(self):
        for command in ('yes | gmsgrouter send', 'gmsgrouter send -- yes',
                        'gmsgrouter send $(seq 20000)'):
            with self.subTest(command=command):
                process = self.start_full(command)
                process.send_signal(signal.SIGINT)
                self.wait_for_status(130)
                process.kill()
                os.unlink(self.path('status'))

    def test_terminated_while_nobody_reads(self):
        pid = self.path('pid')
        process = self.start_full(
            f'(echo $BASHPID >{shlex.quote(pid)}; exec gmsgrouter send -- yes)'.replace(
                '$BASHPID', '$(exec sh -c \'echo $PPID\')'))
        with open(pid, encoding='ascii') as stream:
            os.kill(int(stream.read()), signal.SIGTERM)
        self.wait_for_status(143)
        _, errors = self.assert_ends(process, 1)
        self.assertRegex(errors.decode(), r'\Agmsgrouter run: Line \d+: Terminated [^\n]*\n\Z')

    def test_in_a_terminal(self):
        # Ctrl-C goes to all programs in the foreground, and must still only cancel.
        pid, terminal = pty.fork()
        if pid == 0:
            script = 'gmsgrouter send; echo "status $?"'
            os.execve(TOOL, [TOOL, 'run', '--', 'sh', '-c', script], ENVIRONMENT)
        self.addCleanup(os.close, terminal)
        os.write(terminal, b'line\n')
        text = read_terminal(terminal, r'line\r\nline\r\n')
        os.write(terminal, b'\x03')
        text += read_terminal(terminal)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(text, 'line\r\nline\r\n^C' + CANCELLED.decode().replace('\n', '\r\n') + 'status 130\r\n')
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)


def read_descendants(pid):
    """Returns what /proc says about a process and its descendants."""
    with open(f'/proc/{pid}/status', encoding='utf-8') as stream:
        status = dict(line.rstrip('\n').split(':\t', 1) for line in stream)
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as stream:
        children = stream.read().split()
    return [status] + [status for child in children for status in read_descendants(child)]


def is_full(stream):
    """Tells whether a pipe, seen from its reading end, takes nothing more."""
    fd = os.open(f'/proc/self/fd/{stream.fileno()}', os.O_WRONLY | os.O_NONBLOCK)
    try:
        return not select.select([], [fd], [], 0)[1]
    finally:
        os.close(fd)


class SendTest(ToolTest):
    def send(self, stdin, *arguments, **options):
        return self.tool('run', '--', 'gmsgrouter', 'send', *arguments, stdin=stdin, **options)

    def send_badly(self, stdin, *arguments):
        """Sends something that can't be sent, and returns the output."""
        process = self.start('run', '--', 'gmsgrouter', 'send', *arguments, stdin=subprocess.PIPE)
        output, errors = process.communicate(stdin, timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 1, errors)
        return output, errors.decode()

    def test_lines(self):
        for text in (b'', b'\n', b'\n\n', b'a', b'a\n', b'a\n\nb', b'a\r\nb', b' a \n', b'x' * 65535 + b'\ny\n',
                     b'x' * 65536 + b'\ny', b'\n' * 200000, b''.join(b'%0*d\n' % (n, n) for n in range(1000))):
            with self.subTest(text=text[:10]):
                expected = text if text.endswith(b'\n') or not text else text + b'\n'
                self.assertEqual(self.send(text), expected)

    def test_lines_that_are_not_text(self):
        self.assertEqual(self.send(b'a\xff\nb\0c\n\xc3\xa4\n').decode(), '[0x61, 0xff]\n[0x62, 0x00, 0x63]\nä\n')

    def test_arguments_that_are_not_text(self):
        self.assertEqual(self.tool('run', 'gmsgrouter', 'send', b'a\xff'), b'[0x61, 0xff]\n')

    def test_large_line(self):
        line = b'x' * MAX_LENGTH
        self.assertEqual(self.send(b'first\n' + line + b'\nlast'), b'first\n' + line + b'\nlast\n')

    def test_line_of_64_mib(self):
        output, errors = self.send_badly(b'first\n' + b'x' * MAX_SIZE + b'\nlast\n')
        self.assertEqual(output, b'first\n')
        self.assertIn('gmsgrouter run: Line 2: ', errors)

    def test_line_without_end(self):
        output, errors = self.end('run', '--', 'sh', '-c', 'gmsgrouter send </dev/zero', status=1)
        self.assertEqual(output, b'')
        self.assertIn(b'Line 1: The line is longer than 67108864 bytes\n', errors)

    def test_json_lines(self):
        output = self.tool('run', '-f', 'json', 'gmsgrouter', 'send', '--json', stdin=b'1\n{"a": [2.0]}\n"x"')
        self.assertEqual(output, b'1\n{"a":[2.0]}\n"x"\n')

    def test_json_that_is_none(self):
        deep = '[' * 100000
        for text in ('', ' ', '{', 'x', '[1,]', '1 2', '"a', '"\\u0000"', '"a\\', '18446744073709551615',
                     '-9223372036854775809', '[[["\\\\\\u0000"]]]', deep, '\xff', '"\xff"',
                     # What JavaScript, or json-glib, takes
                     '010', '-01', '0x10', '$1', '.', '.5', '1.', '1.e5', '1e', '+1', '--1', '"\\101"', '"\\x41"', "'x'",
                     '"\t"', '/**/1', '1//', 'var x = 1;', '[1];', '\xef\xbb\xbf1', 'NaN', 'truefalse', '{1:2}', '"\\ud83d"'):
            with self.subTest(text=text[:20]):
                output, errors = self.send_badly(b'1\n' + text.encode('latin-1') + b'\n2\n', '--json')
                self.assertEqual(output, b'1\n')
                self.assertRegex(errors, r'\Agmsgrouter run: Line 2: [^\n]+\n\Z')

    def test_json_of_64_levels(self):
        text = b'[' * 63 + b'{"a":[]}' + b']' * 63
        self.assertIn(b'64 levels deep', self.send_badly(text, '--json')[1].encode())
        text = b'[' * 62 + b'{"a":"[[["}' + b']' * 62
        self.assertEqual(self.tool('run', '-f', 'json', 'gmsgrouter', 'send', '-j', stdin=text), text + b'\n')

    def test_command(self):
        self.assertEqual(self.tool('run', '--', 'gmsgrouter', 'send', '--', 'printf', 'a\nb\\0c\n'), b'a\n[0x62, 0x00, 0x63]\n')

    def test_command_has_the_input(self):
        self.assertEqual(self.send(b'c\na\nb\n', '--', 'sort'), b'a\nb\nc\n')

    def test_json_of_a_command(self):
        self.assertEqual(self.tool('run', 'gmsgrouter', 'send', '-j', '--', 'echo', '{"a": 1}'), b"{'a': <int64 1>}\n")

    def test_status_of_a_command(self):
        for script, status, text in (('exit 3', 3, 'code 3'), ('kill -9 $$', 137, 'signal 9')):
            with self.subTest(script=script):
                output, errors = self.end('run', '--', 'gmsgrouter', 'send', '--', 'sh', '-c', f'echo 1; {script}', status=status)
                self.assertEqual(output, b'1\n')
                self.assertRegex(errors.decode(), rf'\Agmsgrouter run: sh: [^\n]*{text}\n\Z')

    def test_command_that_can_not_be_run(self):
        for command, status in (('nonesuch', 127), ('/etc/passwd', 126)):
            with self.subTest(command=command):
                _, errors = self.end('run', '--', 'gmsgrouter', 'send', '--', command, status=status)
                self.assertRegex(errors.decode(), rf'\Agmsgrouter run: [^\n]* “{command}” [^\n]*\n\Z')

    def test_cancelled_command_and_its_children(self):
        # The pipe ends when nobody holds it any more.
        process = self.start('run', '--', 'gmsgrouter', 'send', '--', 'sh', '-c', 'echo 1; sleep 1000; sleep 1000')
        self.assertEqual(process.stdout.readline(), b'1\n')
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.assert_ends(process, 130), (b'', CANCELLED))

    def test_command_has_no_address(self):
        self.assertEqual(self.tool('run', '--', 'gmsgrouter', 'send', '--', 'sh', '-c', 'echo "${GMSG_ADDRESS-none}"'),
                         b'none\n')

    def test_one_send_a_worker(self):
        output, errors = self.end('run', '--', 'sh', '-c', 'gmsgrouter send 1; gmsgrouter send 2; echo $?', status=0)
        self.assertEqual(sorted(output.split()), [b'1', b'125'])
        self.assertIn(b'gmsgrouter send: ', errors)

    def test_lost_router(self):
        script = f'echo $$ >{shlex.quote(self.path("pid"))}; yes | gmsgrouter send; echo $? >{shlex.quote(self.path("status"))}'
        process = self.start('run', '--', 'sh', '-c', script)
        self.assertEqual(process.stdout.readline(), b'y\n')
        process.kill()
        process.stdout.close()
        self.wait_for_status(1)
        self.assertIn(b'gmsgrouter send: ', process.stderr.read())

    def test_lost_router_while_idle(self):
        script = f'gmsgrouter send; echo $? >{shlex.quote(self.path("status"))}'
        process = self.start('run', '--', 'sh', '-c', script, stdin=subprocess.PIPE)
        process.stdin.write(b'y\n')
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b'y\n')
        process.kill()
        self.wait_for_status(1)


def with_nats_server(case):
    return case if 'GMSG_TEST_NATS_SERVER' in os.environ else None


class ListenTest(ToolTest):
    # The login of the workers' machine
    login = {}

    def setUp(self):
        super().setUp()
        self.address = f'unix:path={self.path("socket")}'
        self.expected = rf'\A{self.address},pipe=1,secret=\w+\n\Z'

    def listen(self, *arguments, n_pipes=1):
        process = self.start('listen', self.address, *arguments)
        return process, [process.stdout.readline().decode().rstrip('\n') for _ in range(n_pipes)]

    def send(self, address, *arguments, status=0):
        process = subprocess.run([TOOL, 'send', *arguments],
                                 env={**ENVIRONMENT, **self.login, 'GMSG_ADDRESS': address},
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(process.returncode, status, process.stderr)

    def test_pipes(self):
        process, addresses = self.listen('--pipes', '3', n_pipes=3)
        self.assertEqual(len(set(addresses)), 3)
        for number in (2, 0, 1):
            self.send(addresses[number], f'from {number}', 'more')
        output, _ = self.assert_ends(process, 0)
        lines = [line.split('\t') for line in output.decode().splitlines()]
        self.assertEqual([line for line in lines if line[0] == '1'], [['1', 'from 0'], ['1', 'more']])
        self.assertEqual(sorted({line[0] for line in lines}), ['1', '2', '3'])
        self.assertEqual(len(lines), 6)
        self.assertFalse(os.path.exists(self.path('socket')))

    def test_json(self):
        process, addresses = self.listen('-f', 'json')
        self.send(addresses[0], 'text')
        self.assertEqual(self.assert_ends(process, 0)[0], b'1\t"text"\n')

    def test_failed_worker(self):
        process, addresses = self.listen('-p', '2', n_pipes=2)
        self.send(addresses[1], '--', 'sh', '-c', 'echo out; exit 4', status=4)
        self.send(addresses[0], 'good')
        output, errors = self.assert_ends(process, 1)
        self.assertEqual(sorted(output.splitlines()), [b'1\tgood', b'2\tout'])
        # Over NATS, it has also reported its connection.
        self.assertRegex(errors.decode(), r'(?m)^gmsgrouter listen: Pipe 2: sh: [^\n]*code 4\n\Z')

    def test_signals_of_a_worker(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number=number):
                process, addresses = self.listen()
                # Whoever runs the tests may ignore it.
                worker = self.start('send', '--', 'sh', '-c', 'echo out; exec cat', stdin=subprocess.PIPE,
                                    env={**ENVIRONMENT, **self.login, 'GMSG_ADDRESS': addresses[0]},
                                    preexec_fn=lambda number=number: signal.signal(number, signal.SIG_DFL))
                self.assertEqual(process.stdout.readline(), b'1\tout\n')
                worker.send_signal(number)
                self.assertEqual(worker.wait(DEADLINE_S), 128 + number)
                _, errors = self.assert_ends(process, 1)
                self.assertRegex(errors.decode(), rf'Pipe 1: sh: [^\n]*signal {int(number)}\n\Z')

    def test_interrupts(self):
        process, _ = self.listen()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: b'interrupt again' in process.stderr.readline())
        process.send_signal(signal.SIGINT)
        self.assert_ends(process, 130)
        self.assertFalse(os.path.exists(self.path('socket')))

    def test_run(self):
        process = self.start('run', '--address', self.address, '--', 'sh', '-c', 'echo "$GMSG_ADDRESS" | gmsgrouter send',
                             env={**ENVIRONMENT, **self.login})
        output, _ = self.assert_ends(process, 0)
        self.assertRegex(output.decode(), self.expected)

    def test_address_in_use(self):
        self.listen()
        for arguments in (['listen', self.address], ['run', '-a', self.address, 'true']):
            _, errors = self.end(*arguments, status=125)
            self.assertIn(os.fsencode(self.path('socket')), errors)


@with_nats_server
class ListenOverNatsTest(ListenTest):
    """The same with workers on other machines, which log in with their machine's login"""

    login = {'GMSG_ADDRESS_OPTIONS': 'user=worker,password=and-this'}
    test_address_in_use = None

    def setUp(self):
        super().setUp()
        with open(os.path.join(os.environ['GMSG_TEST_NATS_EXAMPLES'], 'users.conf'), encoding='utf-8') as users:
            server = NatsServer(users.read())
        self.addCleanup(server.close)
        self.address = server.url.replace('nats://', 'nats://router:change-this@')
        self.expected = r'\Anats:servers=nats%3A//127[^@]*,pipe=1,secret=\w+\n\Z'

    def test_no_secret(self):
        process, addresses = self.listen()
        self.send(addresses[0], 'value')
        _, errors = self.assert_ends(process, 0)
        self.assertIn(b'connected to', errors)
        self.assertNotIn(b'change-this', errors + addresses[0].encode())

    def test_wrong_login(self):
        process, addresses = self.listen()
        for options in ('', 'user=worker,password=wrong'):
            with self.subTest(options=options):
                sent = subprocess.run([TOOL, 'send', 'value'], stderr=subprocess.PIPE, timeout=DEADLINE_S,
                                      env={**ENVIRONMENT, 'GMSG_ADDRESS': addresses[0],
                                           'GMSG_ADDRESS_OPTIONS': options})
                self.assertEqual(sent.returncode, 125)
                self.assertRegex(sent.stderr, rb'the server refuses the credentials')
        self.send(addresses[0], 'value')
        self.assertEqual(self.assert_ends(process, 0)[0], b'1\tvalue\n')


if __name__ == '__main__':
    taprun.main()
