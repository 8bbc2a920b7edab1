#!/usr/bin/python3
# test_completions.py: checks the completions of three shells, and whether they and the manual
# know every option of the program gmsgrouter
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import pty
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import taprun  # noqa: E402
from programs import DEADLINE_S, read_terminal  # noqa: E402

TOOL = os.environ['GMSGROUTER']
COMPLETIONS = os.environ['GMSGROUTER_COMPLETIONS']
MANUAL = os.environ['GMSGROUTER_MANUAL']
ENVIRONMENT = {**os.environ, 'PATH': os.path.dirname(TOOL) + os.pathsep + os.environ['PATH'], 'LC_ALL': 'C.UTF-8'}

COMMANDS = ('run', 'send', 'listen')

# Prints the completions at the end of a line. Bash itself splits words at "=".
BASH = r"""
source "$1"
line=$2
read -ra COMP_WORDS <<<"${line//=/ = }"
[[ $line != *[' ='] ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_gmsgrouter
printf '%s\n' "${COMPREPLY[@]}"
"""

# Shows the completed line at Ctrl-G.
ZSH = r"""
PS1= fpath=(COMPLETIONS $fpath)
autoload -U compinit && compinit -D -u
_show () { print -r -- "<<$BUFFER>>"; BUFFER= }
zle -N _show && bindkey '^G' _show && print rea''dy
"""


def read_options(*command):
    """Returns the options in the program's help, as [('-f', '--format')]."""
    text = subprocess.run([TOOL, *command, '--help'], stdout=subprocess.PIPE, env=ENVIRONMENT, check=True,
                          text=True).stdout
    return re.findall(r'^  (?:(-\w), )?(--[\w-]+)', text, re.MULTILINE)


class BashTest(unittest.TestCase):
    def complete(self, line):
        output = subprocess.run(['bash', '-c', BASH, 'bash', os.path.join(COMPLETIONS, 'gmsgrouter.bash'), line],
                                env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S,
                                text=True)
        self.assertEqual((output.returncode, output.stderr), (0, ''))
        return set(output.stdout.split())

    def test_bash_commands(self):
        self.assertEqual(self.complete('gmsgrouter '), {*COMMANDS, '--help', '--version'})
        self.assertEqual(self.complete('gmsgrouter r'), {'run'})

    def test_bash_options(self):
        for command in COMMANDS:
            found = {word.rstrip('=') for word in self.complete(f'gmsgrouter {command} --')}
            self.assertEqual(found - {'--'}, {name for _, name in read_options(command)})

    def test_bash_values(self):
        for line in ('run --format=', 'run -f ', 'run --format ', 'listen --format='):
            self.assertEqual(self.complete(f'gmsgrouter {line}'), {'text', 'json'}, line)
        self.assertEqual(self.complete('gmsgrouter run --overflow=d'), {'drop-oldest'})
        self.assertEqual(self.complete('gmsgrouter run --capacity='), set())
        self.assertEqual(self.complete('gmsgrouter run --address=u'), {'unix:path='})
        self.assertEqual(self.complete('gmsgrouter listen u'), {'unix:path='})

    def test_bash_command_after_dashes(self):
        self.assertIn('gmsgrouter', self.complete('gmsgrouter run -- gmsgrou'))
        self.assertIn('gmsgrouter', self.complete('gmsgrouter send --json -- gmsgrou'))


@unittest.skipUnless(shutil.which('zsh'), 'there is no zsh')
class ZshTest(unittest.TestCase):
    def setUp(self):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.execvpe('zsh', ['zsh', '-f', '-i'], {**ENVIRONMENT, 'TERM': 'dumb'})
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.close, self.terminal)
        os.write(self.terminal, ZSH.replace('COMPLETIONS', COMPLETIONS).encode())
        read_terminal(self.terminal, r'ready\r')

    def complete(self, line):
        os.write(self.terminal, line.encode() + b'\t\x07')
        return re.search(r'<<(.*)>>', read_terminal(self.terminal, r'<<(.*)>>')).group(1)

    def test_zsh(self):
        for line, completed in (('r', 'run '), ('s', 'send '), ('l', 'listen '), ('--v', '--version '),
                                ('run --fo', 'run --format='), ('run --format=j', 'run --format=json '),
                                ('run -f t', 'run -f text '), ('run --c', 'run --capacity='),
                                ('run --o', 'run --overflow='), ('run --overflow=d', 'run --overflow=drop-oldest '),
                                ('run --a', 'run --address='),
                                ('send --j', 'send --json '), ('listen --p', 'listen --pipes='),
                                ('listen --format=j', 'listen --format=json '), ('listen u', 'listen unix:path= '),
                                ('run -- gmsgrouter se', 'run -- gmsgrouter send '),
                                ('send -- gmsgrouter run --o', 'send -- gmsgrouter run --overflow=')):
            with self.subTest(line=line):
                self.assertEqual(self.complete(f'gmsgrouter {line}'), f'gmsgrouter {completed}')


@unittest.skipUnless(shutil.which('fish'), 'there is no fish')
class FishTest(unittest.TestCase):
    def complete(self, line):
        script = f'source {COMPLETIONS}/gmsgrouter.fish; complete --do-complete "{line}"'
        output = subprocess.run(['fish', '--no-config', '-c', script], env=ENVIRONMENT, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=DEADLINE_S, text=True)
        self.assertEqual((output.returncode, output.stderr), (0, ''))
        return {completed.split('\t')[0] for completed in output.stdout.splitlines()}

    def test_fish_commands(self):
        self.assertEqual(self.complete('gmsgrouter '), set(COMMANDS))
        self.assertIn('--version', self.complete('gmsgrouter --'))

    def test_fish_options(self):
        for command in COMMANDS:
            self.assertEqual(self.complete(f'gmsgrouter {command} --'), {name for _, name in read_options(command)})

    def test_fish_values(self):
        self.assertEqual(self.complete('gmsgrouter run -f '), {'text', 'json'})
        self.assertEqual(self.complete('gmsgrouter run --overflow=d'), {'--overflow=drop-oldest'})
        self.assertEqual(self.complete('gmsgrouter run -a u'), {'unix:path='})
        self.assertEqual(self.complete('gmsgrouter listen u'), {'unix:path='})

    def test_fish_command_after_dashes(self):
        self.assertIn('gmsgrouter', self.complete('gmsgrouter run -- gmsgrou'))
        self.assertEqual(self.complete('gmsgrouter run -- gmsgrouter send -- gmsgrouter r'), {'run'})


class OptionsTest(unittest.TestCase):
    def test_options_in_the_manual(self):
        with open(MANUAL, encoding='utf-8') as stream:
            manual = stream.read()
        named = set(re.findall(r'^\.It (?:Fl (\w) , )?Fl -([\w-]+)', manual, re.MULTILINE))
        expected = {option for command in ([], *([name] for name in COMMANDS)) for option in read_options(*command)}
        self.assertEqual({(short and f'-{short}', f'--{name}') for short, name in named}, expected)

    def test_options_in_zsh(self):
        with open(os.path.join(COMPLETIONS, '_gmsgrouter'), encoding='utf-8') as stream:
            completions = stream.read()
        for command in COMMANDS:
            for short, name in read_options(command):
                self.assertIn(name, completions)
                self.assertRegex(completions, rf'{short},')

    @unittest.skipUnless(shutil.which('mandoc'), 'there is no mandoc')
    def test_markup_of_the_manual(self):
        output = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', MANUAL], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=DEADLINE_S, text=True)
        self.assertEqual((output.returncode, output.stdout), (0, ''))


if __name__ == '__main__':
    taprun.main()
