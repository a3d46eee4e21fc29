# Ends a command at moments that chance picks, and looks whether the next one is hindered. For scripts:
#
#   . "$LIB/moments.sh"
#   moments 30                      # says the seed; SANDBOX_TEST_SEED repeats it
#   took COMMAND…                   # runs it undisturbed, so that moments come from all of its time
#   while next; do                  # sets $i and $at
#     ended KILL COMMAND…           # starts it, sends the signal after $at seconds, waits; sets $code
#     remember                      # what is whole now
#     COMMAND… || fail "…"
#     again                         # none of that was fetched or made once more
#   done
#
# A script that has a server sets log to its log, and requests to a filter that makes of the digest of a blob how a
# request for it reads there.

# fail WORDS… ends the script with the moment that it was.
fail() {
  echo "moment $i of seed $seed, after $at s: $*" >&2
  [ ! -s "$WORK/said" ] || cat "$WORK/said" >&2
  exit 1
}

now() { date +%s%N; }

moments() {
  n=$1 i=0 at=0 said=0 slowest=0 log=/dev/null
  seed=${SANDBOX_TEST_SEED:-$(($(now) / 1000 % 1000000007))}
  echo "seed $seed"
}

took() {
  t0=$(now)
  "$@" >"$WORK/out" || fail "undisturbed: exit $?: $*"
  took=$((($(now) - t0) / 1000000))
}

# next picks the moments one by one; with the same seed they are the same parts of the time that a command takes.
next() {
  [ $i -lt $n ] || return 1
  i=$((i + 1))
  at=$(awk -v seed="$seed" -v i=$i -v took="$took" 'BEGIN { srand(seed); for (; i > 0; i--) r = rand(); printf "%.3f", r * took / 1000 }')
}

# ended starts the command as a shell at a terminal would: in a group of its own, with no signal ignored. KILL ends
# the process that was started and no other; INT is Ctrl-C, which reaches the whole group.
ended() {
  signal=$1 group=-
  [ $1 != KILL ] || group=
  shift
  setsid env --default-signal=INT "$@" >"$WORK/out" 2>"$WORK/said" &
  pid=$!
  sleep "$at"
  t0=$(now)
  kill -$signal $group$pid 2>/dev/null || true
  code=0
  wait $pid 2>/dev/null || code=$?
  ms=$((($(now) - t0) / 1000000))
  case $signal:$code in
  KILL:137 | *:0) ;;
  INT:130) interrupted ;;
  *) fail "exit $code" ;;
  esac
}

# interrupted: Ctrl-C is answered in two words, at once (the bound is one against a hang). Before the program has
# begun there is nobody to say them.
interrupted() {
  [ $ms -lt 10000 ] || fail "went on for $ms ms after Ctrl-C"
  if [ $ms -gt $slowest ]; then slowest=$ms; fi
  case $(cat "$WORK/said") in
  'error: interrupted') said=$((said + 1)) ;;
  '') ;;
  *) fail "other words" ;;
  esac
}

# whole lists what has a final name, with its inode: made again it has another.
whole() { (cd "$STORE" 2>/dev/null && stat -c '%i %n' blobs-v1/sha256/* layers-v1/* wheels-v1/* 2>/dev/null | sort) || true; }

remember() {
  whole >"$WORK/whole"
  line=$(wc -l <"$log")
}

again() {
  lost=$(whole | comm -23 "$WORK/whole" -)
  [ -z "$lost" ] || fail "made again: $lost"
  [ "$log" != /dev/null ] || return 0
  sed -n 's|.* blobs-v1/sha256/||p' "$WORK/whole" | requests >"$WORK/have"
  tail -n +$((line + 1)) "$log" >"$WORK/since"
  if grep -F -f "$WORK/have" "$WORK/since" >&2; then fail "fetched again"; fi
}

# fresh takes the store away.
fresh() { [ ! -e "$STORE" ] || { chmod -R u+rwX "$STORE" && rm -rf "$STORE"; }; }

# clean: a collection leaves nothing that somebody would have to take away by hand.
clean() {
  sandbox gc --older-than 0s >"$WORK/out" || fail "gc"
  left=$(find "$STORE/tmp" "$STORE/blobs-v1/partial" "$STORE/sandboxes-v1" -mindepth 1; find "$STORE/locks" -name 'lease-*')
  [ -z "$left" ] || fail "left: $left"
  for lock in "$STORE"/locks/*; do
    [ ! -e "$lock" ] || flock -n "$lock" true || fail "locked: $lock"
  done
}
