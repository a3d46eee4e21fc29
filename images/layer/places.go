package layer

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/images/store"
)

// places says where contents lie that are not in the tree under the name of their entry: the entry's
// parent went through a symbolic link, or a later entry took the name.
//
//	a RECORD "path"        the file of this F record is at path
//	k RECORD NUMBER "path" after this many F records the file at path was moved to tar/kept/NUMBER
type places struct {
	aliases map[int]string
	kept    map[string][]keptFile
	count   int
	size    int64 // bytes, about
}

type keptFile struct{ after, number int }

func (p *places) alias(record int, real string) {
	if p.aliases == nil {
		p.aliases = map[int]string{}
	}
	p.aliases[record] = real
	p.size += int64(len(real)) + remembered
}

func (p *places) keep(after int, real string) int {
	if p.kept == nil {
		p.kept = map[string][]keptFile{}
	}
	p.count++
	p.size += int64(len(real)) + remembered
	p.kept[real] = append(p.kept[real], keptFile{after, p.count})
	return p.count
}

// find says where the contents of an F record are: a path of the tree, or if kept > 0 that file. The
// name was taken from it by the first move that came after it.
func (p *places) find(record int, name string) (path string, kept int) {
	if a, ok := p.aliases[record]; ok {
		name = a
	}
	for _, k := range p.kept[name] {
		if k.after >= record {
			return "", k.number
		}
	}
	return name, 0
}

func (p *places) save(path string) error {
	if len(p.aliases) == 0 && len(p.kept) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return store.Space(err, "create", path)
	}
	w := bufio.NewWriter(f)
	for r, real := range p.aliases {
		fmt.Fprintf(w, "a %d %+q\n", r, real)
	}
	for real, ks := range p.kept {
		for _, k := range ks {
			fmt.Fprintf(w, "k %d %d %+q\n", k.after, k.number, real)
		}
	}
	return store.Space(errors.Join(w.Flush(), f.Close()), "write", path)
}

func loadPlaces(path string) (*places, error) {
	p := &places{aliases: map[int]string{}, kept: map[string][]keptFile{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<10)
	for sc.Scan() {
		if err := p.line(sc.Text()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return p, sc.Err()
}

// line takes a line exactly as save writes it: nothing in it is passed over.
func (p *places) line(s string) error {
	kind, rest, _ := strings.Cut(s, " ")
	first, rest, _ := strings.Cut(rest, " ")
	second := ""
	if kind == "k" {
		second, rest, _ = strings.Cut(rest, " ")
	}
	a, err1 := strconv.Atoi(first)
	b, err2 := strconv.Atoi(second)
	real, err3 := strconv.Unquote(rest)
	switch {
	case err1 != nil || err3 != nil:
	case kind == "a" && s == fmt.Sprintf("a %d %+q", a, real):
		p.aliases[a] = real
		return nil
	case kind == "k" && err2 == nil && s == fmt.Sprintf("k %d %d %+q", a, b, real):
		p.kept[real] = append(p.kept[real], keptFile{a, b})
		return nil
	}
	return fmt.Errorf("bad line %.200q", s)
}
