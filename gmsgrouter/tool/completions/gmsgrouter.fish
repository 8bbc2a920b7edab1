# gmsgrouter.fish: what fish completes after "gmsgrouter"
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

# Tells whether the cursor is before any "--", after one of some commands, or, without any, before a command
function __fish_gmsgrouter_in
    set -l words (commandline --current-process --tokenize --cut-at-cursor)[2..]
    contains -- -- $words; and return 1
    if set -q argv[1]
        contains -- "$words[1]" $argv
    else
        test (count $words) -eq 0
    end
end

# The command after "--", as fish would complete it alone
function __fish_gmsgrouter_command
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l mark (contains --index -- -- $words); or return
    set -l token (commandline --current-token)
    complete --do-complete (string join ' ' -- (string escape -- $words[(math $mark + 1)..]) "$token")
end

complete -c gmsgrouter -f
complete -c gmsgrouter -n __fish_gmsgrouter_in -l version -d 'Print the version'
complete -c gmsgrouter -n __fish_gmsgrouter_in -a run -d 'Run a command as a worker, and print its messages'
complete -c gmsgrouter -n __fish_gmsgrouter_in -a send -d 'In a worker: send lines, arguments or the output of a command'
complete -c gmsgrouter -n __fish_gmsgrouter_in -a listen -d 'Print the messages of workers that others start'
complete -c gmsgrouter -s h -l help -d 'Show the options'

complete -c gmsgrouter -n '__fish_gmsgrouter_in run listen' -s f -l format -x -a 'text json' -d 'How a message becomes a line'
complete -c gmsgrouter -n '__fish_gmsgrouter_in run' -s c -l capacity -x -d 'How many messages may wait to be printed'
complete -c gmsgrouter -n '__fish_gmsgrouter_in run' -s o -l overflow -x -a 'block fail drop-oldest' -d 'What happens when that many wait'
complete -c gmsgrouter -n '__fish_gmsgrouter_in run' -s a -l address -x -a 'unix:path= nats://' -d 'Where to listen'
complete -c gmsgrouter -n '__fish_gmsgrouter_in send' -s j -l json -d 'Take each line or value as JSON'
complete -c gmsgrouter -n '__fish_gmsgrouter_in listen' -s p -l pipes -x -d 'How many pipes to make'
complete -c gmsgrouter -n '__fish_gmsgrouter_in listen' -a 'unix:path= nats://' -d 'Where to listen'
complete -c gmsgrouter -n 'not __fish_gmsgrouter_in; and not __fish_gmsgrouter_in run send listen' -a '(__fish_gmsgrouter_command)'
