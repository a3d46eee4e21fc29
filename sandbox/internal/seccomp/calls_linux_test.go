package seccomp

import "testing"

func TestCalls(t *testing.T) {
	if _, ok := CallOf(0x1234, 1); ok {
		t.Error("a call of no architecture")
	}
	seen := map[Does]bool{}
	for _, c := range asked {
		got, ok := CallOf(c.Arch, c.Nr)
		if !ok || got != c {
			t.Errorf("%+v: %+v", c, got)
		}
		seen[c.Does] = true
	}
	for d := Chown; d <= Setresuid; d++ {
		if d != Lchown && d != Chown && !seen[d] { // arm64 has only fchownat
			t.Errorf("nothing does %d", d)
		}
	}
	for _, c := range []struct {
		short bool
		arg   uint64
		want  int
	}{
		{false, 0, 0}, {false, 0xffffffff, -1}, {false, 0xfffffffe, 0xfffffffe}, {false, 1<<32 | 5, 5}, {false, 0xffff, 0xffff},
		{true, 0xffff, -1}, {true, 0xfffffffe, 0xfffe}, {true, 0x10005, 5},
	} {
		if got := (Call{Short: c.short}).ID(c.arg); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestNamesOfFilters(t *testing.T) {
	for _, names := range [][]string{{"owners"}, {"container", "owners"}, {"nosync"}, {"nothing"}} {
		if _, err := Filter(names); err == nil {
			t.Errorf("%q is taken", names)
		}
	}
	all := []string{"container", "root", "nosync", "owners"}
	with, err := Filter(all)
	if err != nil || !Asks(all) || Asks(Without(all)) || len(all) != 4 {
		t.Fatal(err, all)
	}
	without, err := Filter(Without(all))
	if err != nil || with == without || len(with) == 0 {
		t.Error(err)
	}
}
