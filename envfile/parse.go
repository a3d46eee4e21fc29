package envfile

// Document is one file as it was written: checked, with places, not merged with anything. It is
// immutable and may be used by many goroutines.
type Document struct {
	src  *source
	root *keyNode
}

// Option changes how a file is read.
type Option func(*options)

type options struct{ version string }

// WithVersion tells the version of the running tool ("1.4.2"), which the key requires is compared
// with. A file that needs a newer one is a [*VersionError] and nothing else of it is looked at. With
// no version, or one that is no number such as "devel", every requires is met.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// Parse reads a sandbox.toml; name is what errors call it. All mistakes are reported at once, as
// [Problems]; a file that asks for a newer tool is a [*VersionError]. Whether parts fit each other
// (a task and its secrets) is seen by [Document.Resolve], when profiles are merged.
func Parse(name string, src []byte, opts ...Option) (*Document, error) {
	return parseFile(newSource(name, src), fileSpec(), opts)
}

// ParseLocal reads a sandbox.local.toml: [bind.*] and the keys that a profile may change. What it
// grants needs no consent, so it must be a file of the user's, never one that came with a clone.
func ParseLocal(name string, src []byte, opts ...Option) (*Document, error) {
	s := newSource(name, src)
	s.own = true
	return parseFile(s, localSpec(), opts)
}

func parseFile(src *source, spec *keySpec, opts []Option) (*Document, error) {
	var o options
	for _, f := range opts {
		f(&o)
	}
	root, problem := readTree(src)
	if problem != nil {
		if early := earlyRequires(src); early != nil {
			if err := tooNew(early, o.version); err != nil {
				return nil, err
			}
		}
		return nil, Problems{*problem}
	}
	if err := tooNew(root, o.version); err != nil {
		return nil, err
	}
	var c checker
	c.table(root, spec, nil)
	if err := c.err(); err != nil {
		return nil, err
	}
	return &Document{src: src, root: root}, nil
}

// earlyRequires finds requires in a file that is no TOML to us: it may be to a newer tool. It is
// looked for among the keys before the first table.
func earlyRequires(src *source) *keyNode {
	if unreadable(src) != nil {
		return nil
	}
	places, _, _ := scanPlaces(src.text)
	at, ok := places["requires"]
	if !ok || at.val.end <= at.val.start || at.val.end > len(src.text) {
		return nil
	}
	doc, err := decodeTOML("requires = " + src.text[at.val.start:at.val.end])
	if err != nil {
		return nil
	}
	root := newTable(src, span{})
	root.fill(doc, nil, places)
	return root
}

// Name is what errors call the file.
func (d *Document) Name() string { return d.src.name }

// Pos is the place of a key, given by its components; elements of lists go by number, from 0. Where
// the file has no such key, it is the place of the table that would hold it.
func (d *Document) Pos(key ...string) Pos {
	if d == nil {
		return Pos{}
	}
	return d.root.near(key...).pos()
}

// Has reports whether the file has the key.
func (d *Document) Has(key ...string) bool { return d != nil && d.root.get(key...) != nil }

// Problem makes an error about a key of the file that shows its line, for what is found wrong later.
func (d *Document) Problem(msg, hint string, key ...string) error {
	n := d.root.near(key...)
	return Problems{n.src.problem(n.key, hint, "%s", msg)}
}

// Profiles gives the names of the file's profiles, in its order.
func (d *Document) Profiles() []string { return d.root.get("profile").names() }
