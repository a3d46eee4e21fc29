package layer

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// The index is lines of text, in the order of the tar; a later line about a path adds to earlier ones.
//
//	o UID GID "path"        owner
//	d c|b MAJOR MINOR "path"
//	x BASE64 "name" "path"  extended attribute
//	i "path"                inherit
//	n "path"                do not inherit
//	r "path"                forget what was said about path: another entry took its place
type ownerLine struct {
	op    byte
	path  string
	owner Owner // o and d
	attr  string
	value string
}

func parseOwnerLine(s string) (l ownerLine, err error) {
	op, rest, _ := strings.Cut(s, " ")
	n, ok := map[string]int{"o": 2, "d": 3, "x": 1, "i": 0, "n": 0, "r": 0}[op]
	if !ok {
		return l, fmt.Errorf("unknown record %q", op)
	}
	l.op = op[0]
	var args [3]string
	for i := range n {
		args[i], rest, _ = strings.Cut(rest, " ")
	}
	if op == "x" {
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return l, err
		}
		l.attr, _ = strconv.Unquote(q)
		rest = strings.TrimPrefix(rest[len(q):], " ")
	}
	if l.path, err = strconv.Unquote(rest); err != nil {
		return l, fmt.Errorf("bad path %s", rest)
	}
	var err1, err2 error
	switch op {
	case "o":
		l.owner.UID, err1 = strconv.Atoi(args[0])
		l.owner.GID, err2 = strconv.Atoi(args[1])
	case "d":
		if args[0] != "c" && args[0] != "b" {
			return l, fmt.Errorf("unknown device %q", args[0])
		}
		l.owner.Device = args[0][0]
		l.owner.Major, err1 = strconv.ParseInt(args[1], 10, 64)
		l.owner.Minor, err2 = strconv.ParseInt(args[2], 10, 64)
	case "x":
		var b []byte
		b, err1 = base64.StdEncoding.DecodeString(args[0])
		l.value = string(b)
	}
	return l, errors.Join(err1, err2)
}

// eachOwner reads the index of the layer in layerDir line by line. A layer without one has no lines. only
// are the kinds of lines that are wanted; "" = all.
func eachOwner(layerDir, only string, f func(ownerLine) error) error {
	file, err := os.Open(filepath.Join(layerDir, ownersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	sc := bufio.NewScanner(io.LimitReader(z, ownersMax))
	sc.Buffer(make([]byte, 64<<10), 4<<20)
	for n := 1; sc.Scan(); n++ {
		b := sc.Bytes()
		if only != "" && (len(b) == 0 || strings.IndexByte(only, b[0]) < 0) {
			continue
		}
		l, err := parseOwnerLine(string(b))
		if err == nil {
			err = f(l)
		}
		if err != nil {
			return fmt.Errorf("%s line %d: %w", file.Name(), n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", file.Name(), err)
	}
	return nil
}

// pathSum stands for a path in 16 bytes. Two paths of one layer that have the same are less likely than
// that the memory errs: the seeds are others each time, so nobody can make them.
type pathSum [2]uint64

type summer [2]maphash.Seed

func newSummer() summer { return summer{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s *summer) sum(path string) pathSum {
	return pathSum{maphash.String(s[0], path), maphash.String(s[1], path)}
}

// OwnerIndex is what [ReadOwners] reads: 32 bytes for each path, however long it is, because a layer may have
// millions that belong to somebody else than root. It may be used from many goroutines.
type OwnerIndex struct {
	s    summer
	m    map[pathSum]ownerEntry
	more []Owner // what few have: devices and attributes
}

type ownerEntry struct {
	uid, gid, more uint32
	inherit        bool
}

// ReadOwners reads the index of the layer in layerDir. A layer without one gives an empty index.
func ReadOwners(layerDir string) (*OwnerIndex, error) {
	x := &OwnerIndex{s: newSummer(), m: map[pathSum]ownerEntry{}}
	return x, eachOwner(layerDir, "", x.line)
}

// Len is how many paths have something special.
func (x *OwnerIndex) Len() int { return len(x.m) }

// Owner is what is special about path.
func (x *OwnerIndex) Owner(path string) (o Owner) {
	e := x.m[x.s.sum(path)]
	if e.more > 0 {
		o = x.more[e.more-1]
	}
	o.UID, o.GID, o.Inherit = int(e.uid), int(e.gid), e.inherit
	return o
}

func (x *OwnerIndex) line(l ownerLine) error {
	sum := x.s.sum(l.path)
	e := x.m[sum]
	switch l.op {
	case 'r':
		e = ownerEntry{}
	case 'i', 'n':
		e.inherit = l.op == 'i'
	case 'o':
		if uint64(l.owner.UID) >= 1<<32 || uint64(l.owner.GID) >= 1<<32 {
			return fmt.Errorf("no ids: %d and %d", l.owner.UID, l.owner.GID)
		}
		e.uid, e.gid = uint32(l.owner.UID), uint32(l.owner.GID)
	default:
		if e.more == 0 {
			x.more = append(x.more, Owner{})
			e.more = uint32(len(x.more))
		}
		o := &x.more[e.more-1]
		if l.op == 'd' {
			o.Device, o.Major, o.Minor = l.owner.Device, l.owner.Major, l.owner.Minor
			break
		}
		if o.Xattrs == nil {
			o.Xattrs = map[string]string{}
		}
		o.Xattrs[l.attr] = l.value
	}
	if x.m[sum] = e; e == (ownerEntry{}) {
		delete(x.m, sum)
	}
	return nil
}
