# shellcheck shell=bash
# gmsgrouter.bash: what bash completes after "gmsgrouter"
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

# _gmsgrouter_words WORD…: offers those that begin like the word at the cursor
_gmsgrouter_words ()
{
  mapfile -t COMPREPLY < <(compgen -W "$*" -- "${COMP_WORDS[COMP_CWORD]}")
}

# _gmsgrouter_command INDEX: completes a command that begins at a word
_gmsgrouter_command ()
{
  local word=${COMP_WORDS[COMP_CWORD]}

  # A part of the package bash-completion, which knows the options of other programs
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif ((COMP_CWORD == $1)); then
    mapfile -t COMPREPLY < <(compgen -c -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}

_gmsgrouter ()
{
  local command=${COMP_WORDS[1]-} word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} index

  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _gmsgrouter_words run send listen --help --version
    return
  fi

  for ((index = 2; index < COMP_CWORD; index++)); do
    if [[ ${COMP_WORDS[index]} == -- && $command != listen ]]; then
      _gmsgrouter_command $((index + 1))
      return
    fi
  done

  # Bash splits words at "=".
  if [[ $word == = ]]; then
    word=
    COMP_WORDS[COMP_CWORD]=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi

  case $command:$previous in
    run:--format | run:-f | listen:--format | listen:-f) _gmsgrouter_words text json ;;
    run:--overflow | run:-o) _gmsgrouter_words block fail drop-oldest ;;
    run:--address | run:-a) _gmsgrouter_words unix:path= nats:// ;;
    run:--capacity | run:-c | listen:--pipes | listen:-p) ;;
    run:*) _gmsgrouter_words --format= --capacity= --overflow= --address= --help -- ;;
    send:*) _gmsgrouter_words --json --help -- ;;
    listen:*) _gmsgrouter_words --format= --pipes= --help unix:path= nats:// ;;
  esac

  if [[ ${COMPREPLY[*]-} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}

complete -F _gmsgrouter gmsgrouter
