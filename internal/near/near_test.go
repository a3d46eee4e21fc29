package near

import (
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	words := []string{"train", "test", "eval", "pytorch", "python", "cuda", "to", "kind"}
	for typed, want := range map[string]string{
		"trian": "train", "tset": "test", "evaluate": "", "x": "", "trai": "train", "bash": "", "pytroch": "pytorch", "PYTORCH": "", "": "",
		"torch": "pytorch", "pyhton": "python", "cudaa": "cuda", "knd": "kind", "zebra": "", strings.Repeat("a", 10000): "",
	} {
		if got := Word(typed, words); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"äb", "ab", 1}, {"abc", "abc", 0}} {
		if got := Distance(c.a, c.b, 10); got != c.want {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if c.want > 0 {
			if got := Distance(c.a, c.b, c.want-1); got < c.want {
				t.Errorf("%q %q within %d: %d", c.a, c.b, c.want-1, got)
			}
		}
	}
}
