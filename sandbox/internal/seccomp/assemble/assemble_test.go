package assemble

import (
	"encoding/binary"
	"os"
	"testing"
)

// run executes a program on one call, as the kernel does.
func run(t *testing.T, p []Instruction, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data, nr)
	binary.LittleEndian.PutUint32(data[4:], arch)
	for i, a := range args {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	a, pc := uint32(0), 0
	jump := func(cond bool, i Instruction) {
		if cond {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	for steps := 0; ; steps++ {
		if pc >= len(p) || steps > len(p) {
			t.Fatalf("call %d runs out of the program", nr)
		}
		i := p[pc]
		pc++
		switch i.Code {
		case ld:
			a = binary.LittleEndian.Uint32(data[i.K:])
		case and:
			a &= i.K
		case jeq:
			jump(a == i.K, i)
		case jge:
			jump(a >= i.K, i)
		case set:
			jump(a&i.K != 0, i)
		case ja:
			pc += int(i.K)
		case ret:
			return i.K
		default:
			t.Fatalf("unknown code %#x", i.Code)
		}
	}
}

const ok = uint32(retAllow)

func fails(errno uint32) uint32 { return retErrno | errno }

// TestEveryCall asks each program about every call of both architectures and those around them.
func TestEveryCall(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		native, compat, err := Arches(goarch)
		if err != nil {
			t.Fatal(err)
		}
		for _, filter := range []struct{ container, root, nosync, owners bool }{{true, false, false, false}, {false, true, false, false}, {true, true, false, false}, {true, true, true, false}, {true, true, false, true}, {true, true, true, true}} {
			p := Assemble(native, compat, Filters{Container: filter.container, Root: filter.root, NoSync: filter.nosync, Owners: filter.owners})
			if len(p) > 4096 {
				t.Fatalf("%d instructions, the kernel takes 4096", len(p))
			}
			for _, a := range []Arch{native, compat} {
				known := map[uint32]bool{}
				for name, nr := range a.Calls {
					known[nr] = true
					want := ok
					if filter.container && contains(denied, name) {
						want = fails(1)
					}
					if filter.container && name == "clone3" {
						want = fails(38)
					}
					if do, fakes := fake[name]; filter.root && fakes && do != mknod && do != mknodat {
						want = fails(0)
					}
					if _, asks := Asked[name]; filter.owners && asks {
						want = retNotify
					}
					if filter.nosync && contains(syncs, name) {
						want = fails(0)
					}
					if got := run(t, p, a.Audit, nr); got != want {
						t.Errorf("%s %v %s: %#x, want %#x", a.Name, filter, name, got, want)
					}
				}
				for nr := range uint32(600) {
					want := ok
					if filter.container {
						want = fails(38)
					}
					if got := run(t, p, a.Audit, nr); !known[nr] && got != want {
						t.Errorf("%s %v unknown call %d: %#x, want %#x", a.Name, filter, nr, got, want)
					}
				}
			}
			want := ok
			if filter.container {
				want = fails(38)
			}
			if got := run(t, p, 0x1234, 1); got != want {
				t.Errorf("another architecture: %#x, want %#x", got, want)
			}
			if got := run(t, p, native.Audit, 0x40000000+1); got != want { // x32
				t.Errorf("x32: %#x, want %#x", got, want)
			}
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestArguments(t *testing.T) {
	native, compat, err := Arches("amd64")
	if err != nil {
		t.Fatal(err)
	}
	p := Assemble(native, compat, Filters{Container: true, Root: true, NoSync: true})
	const dirty = 0xdeadbeef << 32 // upper halves that the kernel ignores
	for _, c := range []struct {
		name string
		args []uint64
		want uint32
	}{
		{"socket", []uint64{2}, ok}, {"socket", []uint64{1}, ok}, {"socket", []uint64{16}, ok},
		{"socket", []uint64{38}, fails(97)}, {"socket", []uint64{40}, fails(97)}, {"socket", []uint64{38 | dirty}, fails(97)},
		{"ioctl", []uint64{0, 0x5401}, ok}, {"ioctl", []uint64{0, 0x5412}, fails(1)},
		{"ioctl", []uint64{0, 0x5412 | dirty}, fails(1)}, {"ioctl", []uint64{0, 0x541c}, fails(1)},
		{"clone", []uint64{0x11}, ok}, {"clone", []uint64{0x3d0f00}, ok}, {"clone", []uint64{0x10000011}, fails(1)},
		{"clone", []uint64{0x20000}, fails(1)}, {"clone", []uint64{0x40000000}, fails(1)},
		{"personality", []uint64{0}, ok}, {"personality", []uint64{8}, ok}, {"personality", []uint64{0x20008}, ok},
		{"personality", []uint64{0xffffffff}, ok}, {"personality", []uint64{0x40000}, ok}, {"personality", []uint64{0x400000}, fails(1)},
		{"mknod", []uint64{0, 0o100644, 0}, ok}, {"mknod", []uint64{0, 0o010644, 0}, ok},
		{"mknod", []uint64{0, 0o020644, 0}, ok}, {"mknod", []uint64{0, 0o020644, 0x103}, fails(0)},
		{"mknod", []uint64{0, 0o060644, 0x103}, fails(0)}, {"mknod", []uint64{0, 0o060644, 0}, fails(0)},
		{"mknodat", []uint64{0, 0, 0o020644, 0}, ok}, {"mknodat", []uint64{0, 0, 0o020644, 0x103}, fails(0)},
		{"setfsuid", []uint64{0xffffffff}, ok}, {"setfsuid", []uint64{1 << 32}, fails(0)}, {"setfsgid", []uint64{5}, fails(0)},
	} {
		if got := run(t, p, native.Audit, native.Calls[c.name], c.args...); got != c.want {
			t.Errorf("%s%v: %#x, want %#x", c.name, c.args, got, c.want)
		}
	}
	if got := run(t, p, compat.Audit, compat.Calls["socketcall"], 1); got != fails(38) {
		t.Errorf("socketcall(socket): %#x", got)
	}
}

// TestNames catches a rule whose call does not exist anywhere: a typing mistake would allow it.
func TestNames(t *testing.T) {
	all := map[string]bool{}
	for _, goarch := range []string{"amd64", "arm64"} {
		a, b, err := Arches(goarch)
		if err != nil {
			t.Fatal(err)
		}
		for _, arch := range []Arch{a, b} {
			for n := range arch.Calls {
				all[n] = true
			}
		}
	}
	for _, n := range denied {
		if !all[n] {
			t.Errorf("denied call %q is not known", n)
		}
	}
	for n := range fake {
		if !all[n] {
			t.Errorf("emulated call %q is not known", n)
		}
	}
}

// TestTables holds the generated files to the rules.
func TestTables(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		want, err := Source(goarch)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile("../tables_linux_" + goarch + ".go")
		if err != nil {
			t.Fatal(err)
		}
		if string(file) != string(want) {
			t.Errorf("the table for %s is stale: run go generate", goarch)
		}
	}
}
