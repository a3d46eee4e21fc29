package sandbox

// nearest is the word of a list that is most like s, or "" if none is near: at most two letters in
// three may differ, and never more than two.
func nearest(s string, list []string) string {
	best, dist := "", min(2, max(1, len(s)/3))+1
	for _, w := range list {
		if d := distance(s, w); d < dist {
			best, dist = w, d
		}
	}
	return best
}

// Nearest is the word of list that a user may have meant by s, or "".
func Nearest(s string, list []string) string { return nearest(s, list) }

// distance counts the insertions, deletions, replacements and swaps of neighbours between a and b.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
