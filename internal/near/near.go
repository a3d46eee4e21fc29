// Package near finds what somebody probably meant to type. Use [Word] for one suggestion and
// [Distance] where a package has its own idea of what is near.
package near

import "sort"

// longest is how long a word may be that is compared; longer ones are no typing mistakes.
const longest = 100

// Word is the candidate that word was probably meant to be, or "". Candidates that differ in more than
// a third of the word are no help; of equals the first in the alphabet is taken.
func Word(word string, candidates []string) string {
	if len(word) > longest {
		return ""
	}
	n := len([]rune(word))
	best, limit := "", max(1, (n+1)/3)
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	for _, c := range sorted {
		if d := Distance(word, c, limit); d <= limit && d < len([]rune(c)) {
			best, limit = c, d-1
		}
	}
	return best
}

// Distance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b
// (optimal string alignment, on characters). It gives some number above limit as soon as it must be
// above.
func Distance(a, b string, limit int) int {
	s, t := []rune(a), []rune(b)
	if d := len(s) - len(t); d > limit || -d > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row[0] = i + 1
		least := row[0]
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
			least = min(least, row[j+1])
		}
		if least > limit+1 {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
