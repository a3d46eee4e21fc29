package deb

import (
	"slices"
	"strings"
	"testing"
)

func packages(t *testing.T, paras ...string) []*Package {
	t.Helper()
	var out []*Package
	for _, p := range paras {
		pkg, err := ParseControl(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pkg)
	}
	return out
}

func TestOrderAndNeeded(t *testing.T) {
	list := packages(t,
		testPara("zlib", "1", ""), testPara("a", "1", "Pre-Depends: virtual | none\nDepends: late"), testPara("perl", "1", "Pre-Depends: zlib"),
		testPara("debconf", "1", "Pre-Depends: perl\nProvides: virtual"), testPara("late", "1", "Pre-Depends: loop"), testPara("loop", "1", "Pre-Depends: late"),
		testPara("unrelated", "1", ""), testPara("must", "1", "Essential: yes"))
	var got []string
	for _, i := range Order(list) {
		got = append(got, list[i].Name)
	}
	if want := "must zlib perl debconf a loop late unrelated"; strings.Join(got, " ") != want {
		t.Errorf("order %s, want %s", strings.Join(got, " "), want)
	}
	marked := Needed(list, func(p *Package) bool { return p.Name == "a" })
	if want := []bool{true, true, true, true, true, true, false, false}; !slices.Equal(marked, want) {
		t.Errorf("needed %v", marked)
	}
}
