package printable

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain words":        "plain words",
		"ä → \u65e5":         "ä → \u65e5",
		"two\nlines\r\n\tof": "two lines of",
		"\x1b[2J\x07\x00":    `\x1b[2J\a\x00`,
		"bad \xff byte":      `bad \xff byte`,
		"\u202eevil":         `\u202eevil`,
		"  around  ":         "around",
		"":                   "",
		"exactly-forty-bytes-of-text-and-no-more!":  "exactly-forty-bytes-of-text-and-no-more!",
		"one more than forty bytes of text, that!!": "one more than forty bytes of text, th…",
	} {
		if got := Line(in, 40); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"a\n    ^^^ here\n":      "a\n    ^^^ here\n",
		"\tx\x1b]0;title\x07\ny": "\tx\\x1b]0;title\\a\ny",
		"a\rb":                   `a\rb`,
		strings.Repeat("x", 50):  strings.Repeat("x", 40) + "…",
	} {
		if got := Text(in, 40); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestError(t *testing.T) {
	if Error(nil, 10) != nil {
		t.Error("nil is an error")
	}
	err := Error(errors.Join(fs.ErrNotExist, errors.New("\x1b")), 200)
	if err.Error() != `file does not exist \x1b` || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q", err)
	}
	if plain := errors.New("plain"); Error(plain, 10) != plain {
		t.Error("a good one is wrapped")
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b[2J\xff\n\u202e  b", 20)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 8 || max > 1<<16 {
			return
		}
		for what, got := range map[string]string{"line": Line(s, max), "text": Text(s, max)} {
			for _, r := range got {
				if r != ' ' && !unicode.IsPrint(r) && (what == "line" || r != '\n' && r != '\t') || r == utf8.RuneError && !strings.Contains(s, "\uFFFD") {
					t.Errorf("%s of %q: %q", what, s, got)
				}
			}
		}
		if got := Line(s, max); len(got) > max || strings.Contains(got, "\n") {
			t.Errorf("%q has %d bytes", got, len(got))
		}
	})
}
