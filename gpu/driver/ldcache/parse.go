package ldcache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Bounds of what is read. A host with 60 000 packages has a cache of about 300 KiB.
const (
	MaxSize    = 16 << 20 // bytes of a file
	MaxEntries = 1 << 17
	maxName    = 256  // as long as a file's name may be, and its end
	maxPath    = 4096 // as long as a path may be
	maxText    = MaxSize
)

// ErrFormat is in the tree of every error of [Parse].
var ErrFormat = errors.New("not a usable ld.so.cache")

const (
	oldMagic    = "ld.so-1.7.0"
	newMagic    = "glibc-ld.so.cache1.1"
	oldHeader   = 16
	oldEntry    = 12
	newHeader   = 48
	newEntry    = 24
	extMagic    = 0xeaa42174
	tagHWCaps   = 1
	bigEndian   = 3
	extension   = 1 << 30   // in the upper half of hwcap: the lower half is an index of a glibc-hwcaps folder
	isaLevels   = 1<<10 - 1 // in the upper half, beside it
	sectionSize = 16        // of an extension: tag, flags, offset, size
	maxSections = 64        // glibc writes two
	maxFolders  = 1 << 12   // glibc-hwcaps folders
	tagName     = 0         // which program wrote the cache
	generator   = "sandbox"
)

// Parse reads a cache in any of the three forms; where the new one is embedded in an old one, the new one
// counts. Bytes may be hostile: every offset is checked, and one entry that leads outside makes the whole
// file unusable, as the linker's own check does. Entries of libraries for other machines are kept.
func Parse(b []byte) ([]Entry, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrFormat, len(b), MaxSize)
	}
	switch {
	case bytes.HasPrefix(b, []byte(newMagic)):
		return parseNew(b, 0)
	case bytes.HasPrefix(b, []byte(oldMagic)):
		return parseOld(b)
	}
	return nil, fmt.Errorf("%w: it begins with %q", ErrFormat, b[:min(len(b), len(newMagic))])
}

var le = binary.LittleEndian

func parseOld(b []byte) ([]Entry, error) {
	if len(b) < oldHeader {
		return nil, fmt.Errorf("%w: cut off in the header", ErrFormat)
	}
	n := uint64(le.Uint32(b[12:]))
	end := oldHeader + n*oldEntry
	if n > MaxEntries || end > uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", ErrFormat, n, len(b))
	}
	// The new form follows, aligned as its widest member is: 8 bytes, on 32-bit x86 4.
	for _, align := range []uint64{8, 4} {
		at := (end + align - 1) &^ (align - 1)
		if at <= uint64(len(b)) && bytes.HasPrefix(b[at:], []byte(newMagic)) {
			return parseNew(b, at)
		}
	}
	out := make([]Entry, 0, n)
	names := table{all: string(b[end:])}
	for e := b[oldHeader:end]; len(e) > 0; e = e[oldEntry:] {
		x := Entry{Flags: int32(le.Uint32(e))}
		if err := names.read(&x, e); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// parseNew reads the new form, which begins at start. Names count from there; what the extension names
// counts from the beginning of the file.
func parseNew(file []byte, start uint64) ([]Entry, error) {
	b := file[start:]
	if len(b) < newHeader {
		return nil, fmt.Errorf("%w: cut off in the header", ErrFormat)
	}
	if b[28]&3 == bigEndian {
		return nil, fmt.Errorf("%w: it is of a big-endian machine", ErrFormat)
	}
	n, size := uint64(le.Uint32(b[20:])), uint64(le.Uint32(b[24:]))
	end := newHeader + n*newEntry
	if n > MaxEntries || end+size > uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d entries and %d bytes of names in %d bytes", ErrFormat, n, size, len(b))
	}
	names := table{all: string(b)}
	folders, err := hwcaps(file, le.Uint32(b[32:]), names)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, n)
	for e := b[newHeader:end]; len(e) > 0; e = e[newEntry:] {
		x := Entry{Flags: int32(le.Uint32(e)), OSVersion: le.Uint32(e[12:]), HWCap: le.Uint64(e[16:])}
		if err := names.read(&x, e); err != nil {
			return nil, err
		}
		if high := x.HWCap >> 32; high&^isaLevels == extension {
			i := uint32(x.HWCap)
			if uint64(i) >= uint64(len(folders)) {
				continue // the linker passes over it too
			}
			x.Sub, x.HWCap = folders[i], (high&isaLevels)<<32
		}
		out = append(out, x)
	}
	return out, nil
}

// hwcaps are the names of the glibc-hwcaps folders, by index, from the extension at offset.
func hwcaps(b []byte, offset uint32, names table) ([]string, error) {
	at := uint64(offset)
	if at == 0 {
		return nil, nil
	}
	if at%4 != 0 || at+8 > uint64(len(b)) || le.Uint32(b[at:]) != extMagic {
		return nil, fmt.Errorf("%w: its extension is not where it says", ErrFormat)
	}
	n := uint64(le.Uint32(b[at+4:]))
	if n > maxSections || at+8+n*sectionSize > uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d parts of the extension in %d bytes", ErrFormat, n, len(b))
	}
	for s := b[at+8 : at+8+n*sectionSize]; len(s) > 0; s = s[sectionSize:] {
		off, size := uint64(le.Uint32(s[8:])), uint64(le.Uint32(s[12:]))
		if le.Uint32(s) != tagHWCaps {
			continue
		}
		if off+size > uint64(len(b)) || size%4 != 0 || size/4 > maxFolders {
			return nil, fmt.Errorf("%w: %d bytes of processor folders at %d", ErrFormat, size, off)
		}
		var out []string
		for f := b[off : off+size]; len(f) > 0; f = f[4:] {
			name, err := names.text(le.Uint32(f), maxName)
			if err != nil {
				return nil, err
			}
			out = append(out, name)
		}
		return out, nil
	}
	return nil, nil
}

// table is where the names lie: parts of one string, so that many entries with the same long text cost
// nothing while reading. Writing and sorting cost what they add up to, so that has a bound too.
type table struct {
	all  string
	used int
}

// read fills in the names of the entry that begins with the bytes e.
func (t *table) read(x *Entry, e []byte) (err error) {
	if x.Name, err = t.text(le.Uint32(e[4:]), maxName); err != nil {
		return err
	}
	if x.Path, err = t.text(le.Uint32(e[8:]), maxPath); err != nil {
		return err
	}
	if t.used += len(x.Name) + len(x.Path); t.used > maxText {
		return fmt.Errorf("%w: its names add up to more than %d bytes", ErrFormat, maxText)
	}
	return nil
}

// text is the string at an offset, which ends with a zero byte.
func (t *table) text(off uint32, limit int) (string, error) {
	if uint64(off) >= uint64(len(t.all)) {
		return "", fmt.Errorf("%w: a name at %d of %d bytes", ErrFormat, off, len(t.all))
	}
	rest := t.all[off:min(len(t.all), int(off)+limit)]
	n := strings.IndexByte(rest, 0)
	if n < 0 {
		return "", fmt.Errorf("%w: the name at %d does not end", ErrFormat, off)
	}
	return rest[:n], nil
}
