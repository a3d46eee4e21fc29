package deb

import (
	"errors"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// nameVersions is what a closure chose, as "name version" words.
func nameVersions(pp []*Package) string {
	var s []string
	for _, p := range pp {
		s = append(s, p.Name+"_"+p.Version)
	}
	return strings.Join(s, " ")
}

func TestClosure(t *testing.T) {
	text := testPara("app", "1", "Depends: liba (>= 2), mta | mta-virtual, old-name (>= 1.5)\nRecommends: doc, none-such") +
		testPara("liba", "1.9", "") + testPara("liba", "2.1", "Pre-Depends: tiny:any") + testPara("tiny", "1", "Multi-Arch: allowed") +
		testPara("zmail", "1", "Provides: mta-virtual\nPriority: optional") + testPara("amail", "1", "Provides: mta-virtual\nPriority: extra") +
		testPara("new-name", "3", "Provides: old-name (= 1.6),\n something-else") + testPara("wrong-name", "3", "Provides: old-name") +
		testPara("doc", "1", "") + testPara("base-thing", "1", "Essential: yes") + testPara("apt", "1", "Priority: important") +
		testPara("needs-old", "1", "Depends: liba (<< 2)") + testPara("asks-both", "1", "Depends: app, needs-old") +
		testPara("hater", "1", "Conflicts: tiny") + testPara("breaker", "1", "Breaks: liba (<< 3)") +
		testPara("self", "1", "Provides: mta-virtual\nConflicts: mta-virtual") + testPara("loop1", "1", "Depends: loop2") + testPara("loop2", "1", "Depends: loop1") +
		testPara("prefers", "1", "Depends: hater | doc, tiny") + testPara("merges", "1", "Depends: usrmerge | usr-is-merged") + testPara("usrmerge", "1", "") + testPara("usr-is-merged", "1", "") + testPara("lacks", "1", "Depends: never-there (>= 2) | gone-too")
	newer := testPara("doc", "1.1", "") + testPara("base-thing", "2", "Essential: yes\nDepends: tiny")
	as := []*Archive{loadText(t, "Test/suite", text), loadText(t, "Test/suite-security", newer)}
	tests := []struct {
		names string
		o     ClosureOptions
		want  string
		err   string
	}{
		{"app", ClosureOptions{}, "app_1 liba_2.1 new-name_3 tiny_1 zmail_1", ""},
		{"app amail", ClosureOptions{}, "amail_1 app_1 liba_2.1 new-name_3 tiny_1", ""},
		{"app", ClosureOptions{Recommends: true}, "app_1 doc_1.1 liba_2.1 new-name_3 tiny_1 zmail_1", ""},
		{"", ClosureOptions{Base: true}, "apt_1 base-thing_2 tiny_1", ""},
		{"liba=1.9", ClosureOptions{}, "liba_1.9", ""},
		{"base-thing=1", ClosureOptions{Base: true}, "apt_1 base-thing_1", ""},
		{"mta-virtual", ClosureOptions{}, "zmail_1", ""},
		{"loop1", ClosureOptions{}, "loop1_1 loop2_1", ""},
		{"needs-old", ClosureOptions{}, "liba_1.9 needs-old_1", ""},
		{"asks-both", ClosureOptions{}, "", "needs-old 1 needs liba (<< 2): liba 2.1 is chosen"},
		{"hater liba", ClosureOptions{}, "", "hater and tiny cannot be installed together"},
		{"breaker app", ClosureOptions{}, "", "breaker conflicts with liba (<< 3)"},
		{"self zmail", ClosureOptions{}, "", "self and zmail cannot be installed together"},
		{"tiny prefers", ClosureOptions{}, "doc_1.1 prefers_1 tiny_1", ""},
		{"merges", ClosureOptions{}, "merges_1 usr-is-merged_1", ""},
		{"lacks", ClosureOptions{}, "", "lacks 1 needs never-there (>= 2) | gone-too: no archive has it, of Test/suite, Test/suite-security"},
		{"liba=7", ClosureOptions{}, "", "no package liba (= 7); on offer: 2.1, 1.9"},
		{"apq", ClosureOptions{}, "", `no package "apq" in Test/suite, Test/suite-security`},
	}
	for _, tt := range tests {
		pp, err := Closure(as, strings.Fields(tt.names), tt.o)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %v, want error %q", tt.names, err, tt.err)
			}
			continue
		}
		if got := nameVersions(pp); err != nil || got != tt.want {
			t.Errorf("%q: got %s, %v; want %s", tt.names, got, err, tt.want)
		}
	}
	_, err := Closure(as, []string{"apq"}, ClosureOptions{})
	var u *UnknownError
	if !errors.As(err, &u) || len(hint.Of(err)) != 1 || hint.Of(err)[0] != "there are: app, apt" {
		t.Errorf("hints: %q", hint.Of(err))
	}
}

func TestParseRelations(t *testing.T) {
	good := map[string]string{
		"a":                          "a",
		"a | b (>= 1:2.3-4~x) , c":   "a | b (>= 1:2.3-4~x); c",
		"a:any(<<2)":                 "a:any (<< 2)",
		"a [amd64] <!nocheck>, b<x>": "a; b",
		"a (= 1) [linux-any],\n b,":  "a (= 1); b",
		"":                           "",
	}
	for in, want := range good {
		got, err := ParseRelations(in)
		var s []string
		for _, g := range got {
			s = append(s, g.String())
		}
		if err != nil || strings.Join(s, "; ") != want {
			t.Errorf("%q: got %q, %v; want %q", in, strings.Join(s, "; "), err, want)
		}
	}
	for _, in := range []string{"a (", "a (1)", "a (>= )", "a (>= 1", "a b", "| a", "a (= 1) b", "../x", "a (=> 1)"} {
		if got, err := ParseRelations(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

// What is printed reads as the same again.
func FuzzParseRelations(f *testing.F) {
	f.Add("a | b (>= 1:2.3-4~x), c:any [amd64]")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseRelations(s)
		if err != nil {
			return
		}
		for _, g := range got {
			again, err := ParseRelations(g.String())
			if err != nil || len(again) != 1 || again[0].String() != g.String() {
				t.Fatalf("%q: printed as %q, read as %v, %v", s, g, again, err)
			}
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add(testPara("a", "1", "Provides: b (= 2), c\nEssential: yes\nDepends: d | e (>= 1)"))
	f.Add("Package: x\n\n \nPackage: y\nProvides:\n z")
	f.Fuzz(func(t *testing.T, s string) {
		x, err := newIndex("O/s/main", "amd64", s)
		if err != nil {
			return
		}
		a := &Archive{Name: "O/s", indexes: []*index{x}}
		for n := range x.first {
			pp, err := Closure([]*Archive{a}, []string{n}, ClosureOptions{Base: true, Recommends: true})
			if err != nil {
				continue
			}
			for _, p := range pp {
				if p.Check() != nil {
					t.Fatalf("bad package chosen: %+v", p)
				}
			}
		}
	})
}
