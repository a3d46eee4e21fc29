package wheel

import (
	"archive/zip"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Time is the modification time of every unpacked file. Layers get their own when they are packed;
// on disk a constant keeps two stores alike. It is the first day that zip archives can hold in any
// time zone, so that what packs up a site-packages does not fail.
var Time = time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC)

// Unpack lays out the wheel at path, whose name is filename, in the empty folder dir as the package
// comment says. What is wrong with the archive is an error; dir is then left half filled. It may be
// called for many wheels at once.
//
// That the archive is the one that was asked for, by sha256, is for the caller to know.
func Unpack(path, filename, dir string) error {
	if err := unpack(path, filename, dir); err != nil {
		return fmt.Errorf("wheel %s: %w", filename, err)
	}
	return nil
}

func unpack(path, filename, dir string) error {
	name, err := ParseFilename(filename)
	if err != nil {
		return err
	}
	a, err := openArchive(path)
	if err != nil {
		return err
	}
	defer a.Close()
	l := &layout{archive: a, name: name, promised: map[string]recordLine{}, out: map[string]*output{}}
	if err := l.plan(); err != nil {
		return err
	}
	return l.write(dir)
}

// output is one file to be written: from an entry of the archive or, where that is nil, from text.
type output struct {
	to     string // site/…, scripts/…, data/…, headers/…
	entry  *zip.File
	text   []byte
	exec   bool
	python bool // the first line names an interpreter to be replaced
	sum    [32]byte
	size   int64
}

// layout is one wheel on its way from archive to folders.
type layout struct {
	archive  *archive
	name     Filename
	info     string // the dist-info folder
	version  string
	promised map[string]recordLine
	out      map[string]*output
	order    []*output
}

// plan decides what goes where, without writing.
func (l *layout) plan() error {
	if err := l.findInfo(); err != nil {
		return err
	}
	if err := l.checkInfo(); err != nil {
		return err
	}
	scripts, err := l.entryPoints()
	if err != nil {
		return err
	}
	for _, s := range scripts {
		if err := l.put(&output{to: "scripts/" + s.name, text: s.text(), exec: true}); err != nil {
			return err
		}
	}
	for _, e := range l.archive.files {
		o, err := l.place(e)
		if err != nil {
			return err
		}
		// A script that the wheel also has as a file is the entry point's, as with other installers.
		if o == nil || strings.HasPrefix(o.to, "scripts/") && l.out[o.to] != nil && l.out[o.to].entry == nil {
			continue
		}
		if err := l.put(o); err != nil {
			return err
		}
	}
	return l.noFileAboveFile()
}

func (l *layout) put(o *output) error {
	if l.out[o.to] != nil {
		return fmt.Errorf("two files for one place: %q", o.to)
	}
	l.out[o.to] = o
	l.order = append(l.order, o)
	return nil
}

func (l *layout) noFileAboveFile() error {
	for to := range l.out {
		for d := path.Dir(to); d != "."; d = path.Dir(d) {
			if l.out[d] != nil {
				return fmt.Errorf("file and folder at once: %q", d)
			}
		}
	}
	return nil
}

// findInfo finds the one dist-info folder, which must be that of the project and version in the
// wheel's name.
func (l *layout) findInfo() error {
	for _, e := range l.archive.files {
		top, _, ok := strings.Cut(e.Name, "/")
		if !ok || !strings.HasSuffix(top, ".dist-info") || top == l.info {
			continue
		}
		if l.info != "" {
			return fmt.Errorf("two dist-info folders: %s and %s", l.info, top)
		}
		l.info = top
	}
	if l.info == "" {
		return errors.New("no dist-info folder")
	}
	name, version, _ := strings.Cut(strings.TrimSuffix(l.info, ".dist-info"), "-")
	if Normalize(name) != Normalize(l.name.Name) || !sameVersion(version, l.name.Version) {
		return fmt.Errorf("holds another package: %s", l.info)
	}
	return nil
}

// sameVersion takes - in a folder's name for what _ or + was.
func sameVersion(a, b string) bool {
	v, err1 := ParseVersion(strings.ReplaceAll(a, "_", "-"))
	w, err2 := ParseVersion(strings.ReplaceAll(b, "_", "-"))
	return err1 == nil && err2 == nil && v.Compare(w) == 0
}

// checkInfo reads WHEEL, METADATA and RECORD.
func (l *layout) checkInfo() error {
	read := func(name string) ([]byte, error) {
		e := l.archive.names[l.info+"/"+name]
		if e == nil {
			return nil, fmt.Errorf("no %s in %s", name, l.info)
		}
		return small(e)
	}
	b, err := read("WHEEL")
	if err != nil {
		return err
	}
	major, _, _ := strings.Cut(ParseMetadata(b).Get("Wheel-Version"), ".")
	if major != "1" {
		return fmt.Errorf("unknown version of the wheel format: %q", ParseMetadata(b).Get("Wheel-Version"))
	}
	if b, err = read("METADATA"); err != nil {
		return err
	}
	name, version, err := ParseMetadata(b).NameVersion()
	if err != nil {
		return fmt.Errorf("METADATA: %w", err)
	}
	if Normalize(name) != Normalize(l.name.Name) || !sameVersion(version, l.name.Version) {
		return fmt.Errorf("METADATA is about another package: %s %s", name, version)
	}
	l.version = version
	if b, err = read("RECORD"); err != nil {
		return err
	}
	lines, err := parseRecord(b)
	for _, r := range lines {
		l.promised[r.path] = r
	}
	return err
}

func (l *layout) entryPoints() ([]script, error) {
	e := l.archive.names[l.info+"/entry_points.txt"]
	if e == nil {
		return nil, nil
	}
	b, err := small(e)
	if err != nil {
		return nil, err
	}
	return parseEntryPoints(b)
}

// place says where an entry goes; nil for what an installer writes itself.
func (l *layout) place(e *zip.File) (*output, error) {
	o := &output{entry: e, to: "site/" + e.Name, exec: e.Mode()&0o111 != 0}
	top, rest, _ := strings.Cut(e.Name, "/")
	switch {
	case top == l.info:
		switch rest {
		case "RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json":
			return nil, nil
		}
	case strings.HasSuffix(top, ".data"):
		kind, sub, ok := strings.Cut(rest, "/")
		if !ok {
			return nil, fmt.Errorf("not in a folder of its kind: %q", e.Name)
		}
		switch kind {
		case "purelib", "platlib":
			o.to = "site/" + sub
			if sub == l.info || strings.HasPrefix(sub, l.info+"/") {
				return nil, fmt.Errorf("metadata in the wrong place: %q", e.Name)
			}
		case "scripts":
			o.to, o.exec, o.python = "scripts/"+sub, true, true
		case "data", "headers":
			o.to = kind + "/" + sub
		default:
			return nil, fmt.Errorf("unknown kind of files: %q", e.Name)
		}
	}
	return o, nil
}
