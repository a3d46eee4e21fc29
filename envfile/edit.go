package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/4cc2e759/sandbox/internal/near"
)

// EditError says that an env file could not be changed without touching more than was asked, and what
// to write by hand instead.
type EditError struct {
	Why  string
	Line string // "packages = [\"git\"] in [apt]"; "" if there is nothing to write
}

func (e *EditError) Error() string { return "sandbox.toml cannot be changed for you: " + e.Why }

// Hint is what to write by hand.
func (e *EditError) Hint() string {
	if e.Line == "" {
		return ""
	}
	return "write " + e.Line
}

// AbsentError is a name that is to be removed and is not there.
type AbsentError struct {
	Key, Name string
	Near      string // the nearest name that is there
}

func (e *AbsentError) Error() string { return fmt.Sprintf("not in %s: %s", e.Key, e.Name) }

// Hint names the nearest one.
func (e *AbsentError) Hint() string {
	if e.Near == "" {
		return ""
	}
	return "did you mean " + e.Near + "?"
}

// editKind is one list of the env file that Add and Remove work on.
type editKind struct {
	path  []string
	check func(string) error
	name  func(string) string // what makes two items the same thing
}

func editKinds() map[string]editKind {
	same := func(s string) string { return s }
	return map[string]editKind{
		"apt":          {[]string{"apt", "packages"}, checkAptPackage, aptItemName},
		"python":       {[]string{"python", "packages"}, checkRequirement, requirementName},
		"requirements": {[]string{"python", "requirements"}, checkPath, same},
		"constraints":  {[]string{"python", "constraints"}, checkPath, same},
		"pass":         {[]string{"env", "pass"}, checkEnvName, same},
	}
}

func aptItemName(s string) string {
	name, _, _ := strings.Cut(s, "=")
	return strings.TrimSpace(name)
}

// requirementName is the distribution's name in "Torch[cuda] >=2; python_version < '3.13'".
func requirementName(s string) string {
	s = strings.TrimSpace(s)
	end := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("-_.", r) && (r > 127 || !isAlnum(byte(r))) })
	if end >= 0 {
		s = s[:end]
	}
	return NormalName(s)
}

// Add puts an item into a list of an env file: kind "apt" or "python" for a package, "requirements"
// or "constraints" for a file, "pass" for a variable, "toolchain" for a claim ("pytorch=2.5.1").
// Comments, order and everything else stay as they are: the change is a splice, and is proved by
// decoding the result. A name that is there with another version gets the new one; a bare name that
// is there with a version stays. What is there already gives src back. Errors are [*EditError], or
// about the item.
func Add(src []byte, kind, item string) ([]byte, error) {
	item = strings.TrimSpace(item)
	if kind == "toolchain" {
		name, want := item, "auto"
		if i := strings.IndexAny(item, " =<>!~"); i >= 0 {
			name, want = item[:i], strings.TrimSpace(item[i:])
			if !strings.HasPrefix(want, "==") { // "python=3.13" is a prefix, "python==3.13.1" is exact
				want = strings.TrimPrefix(want, "=")
			}
		}
		return setTool(src, name, strings.TrimSpace(want))
	}
	k, ok := editKinds()[kind]
	if !ok {
		return nil, fmt.Errorf("no such list: %s", kind)
	}
	if err := k.check(item); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(k.path, "."), err, quote(item))
	}
	e, err := newEdit(src)
	if err != nil {
		return nil, err
	}
	return e.addItem(k, item)
}

// Remove takes an item out of a list, by name: of kind "python", "numpy" takes out "numpy>=1". A name
// that is not there is an [*AbsentError].
func Remove(src []byte, kind, name string) ([]byte, error) {
	name = strings.TrimSpace(name)
	e, err := newEdit(src)
	if err != nil {
		return nil, err
	}
	if kind == "toolchain" {
		return e.removeKey([]string{"toolchain", name})
	}
	k, ok := editKinds()[kind]
	if !ok {
		return nil, fmt.Errorf("no such list: %s", kind)
	}
	return e.removeItem(k, name)
}

// edit is one text with its statements and values.
type edit struct {
	src   []byte
	nodes []tomlNode
	doc   map[string]any
	nl    string
}

func newEdit(src []byte) (*edit, error) {
	e := &edit{src: src, nl: "\n"}
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		e.nl = "\r\n"
	}
	var err error
	if e.nodes, err = scanTOML(src); err != nil {
		return nil, &EditError{Why: err.Error()}
	}
	if e.doc, err = decodeDoc(src); err != nil {
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			err = fmt.Errorf("line %d: %s", pe.Position.Line, pe.Message)
		}
		return nil, &EditError{Why: err.Error()}
	}
	return e, nil
}

func decodeDoc(src []byte) (map[string]any, error) {
	doc := map[string]any{}
	err := toml.Unmarshal(src, &doc)
	return doc, err
}

// prove takes a changed text only if it decodes to what was meant.
func (e *edit) prove(text []byte, path []string, want any, byHand string) ([]byte, error) {
	got, err := decodeDoc(text)
	meant := withValue(e.doc, path, want)
	if err == nil {
		if left, ok := meant[path[0]].(map[string]any); ok && len(left) == 0 && got[path[0]] == nil {
			delete(meant, path[0]) // the last of dotted keys takes its table along
		}
		if _, err = scanTOML(text); err == nil && reflect.DeepEqual(got, meant) {
			return text, nil
		}
	}
	return nil, &EditError{Why: "its form is too unusual for a safe change", Line: byHand}
}

// withValue is a copy of doc with another value at path; nil takes the key away.
func withValue(doc map[string]any, path []string, v any) map[string]any {
	out := maps.Clone(doc)
	if out == nil {
		out = map[string]any{}
	}
	if len(path) > 1 {
		sub, _ := out[path[0]].(map[string]any)
		out[path[0]] = withValue(sub, path[1:], v)
	} else if out[path[0]] = v; v == nil {
		delete(out, path[0])
	}
	return out
}

// strings are the values of a list; false if something else is there.
func (e *edit) strings(path []string) ([]string, bool) {
	var v any = e.doc
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v = m[p]; v == nil {
			return nil, true
		}
	}
	list, ok := v.([]any)
	out := make([]string, len(list))
	for i, x := range list {
		s, isText := x.(string)
		out[i], ok = s, ok && isText
	}
	return out, ok
}

func anyList(v []string) []any {
	out := make([]any, len(v))
	for i, s := range v {
		out[i] = s
	}
	return out
}

func byHand(path []string, values []string) string {
	return fmt.Sprintf("`%s = %s` in [%s]", path[len(path)-1], listTOML(values), path[0])
}

func (e *edit) find(path []string) *tomlNode {
	for i := range e.nodes {
		if !e.nodes[i].header && slices.Equal(e.nodes[i].path, path) {
			return &e.nodes[i]
		}
	}
	return nil
}

func (e *edit) splice(at span, text string) []byte {
	return slices.Concat(e.src[:at.start], []byte(text), e.src[at.end:])
}

func (e *edit) addItem(k editKind, item string) ([]byte, error) {
	values, ok := e.strings(k.path)
	if !ok {
		return nil, &EditError{Why: strings.Join(k.path, ".") + " is not a list of strings", Line: byHand(k.path, []string{item})}
	}
	var same []int
	for i, v := range values {
		if k.name(v) == k.name(item) {
			same = append(same, i)
		}
	}
	want := append(slices.Clone(values), item)
	if len(same) > 1 {
		return nil, &EditError{Why: fmt.Sprintf("%s has more than one %s", strings.Join(k.path, "."), k.name(item)), Line: byHand(k.path, want)}
	}
	node := e.find(k.path)
	if len(same) == 1 && node != nil {
		i := same[0]
		if values[i] == item || item == k.name(item) {
			return e.src, nil
		}
		want = slices.Clone(values)
		want[i] = item
		return e.prove(e.splice(node.elems[i], quoteTOML(item)), k.path, anyList(want), byHand(k.path, want))
	}
	var text []byte
	if node != nil && node.kind == '[' {
		text = e.addToArray(node, quoteTOML(item))
	} else {
		text = e.addKey(k.path, "["+quoteTOML(item)+"]")
	}
	return e.prove(text, k.path, anyList(want), byHand(k.path, want))
}

func (e *edit) removeItem(k editKind, name string) ([]byte, error) {
	values, ok := e.strings(k.path)
	node := e.find(k.path)
	if !ok || len(values) > 0 && (node == nil || node.kind != '[') {
		return nil, &EditError{Why: strings.Join(k.path, ".") + " is not a list of strings"}
	}
	at := slices.IndexFunc(values, func(v string) bool { return v == name })
	if at < 0 {
		at = slices.IndexFunc(values, func(v string) bool { return k.name(v) == k.name(name) })
	}
	if at < 0 {
		names := make([]string, len(values))
		for i, v := range values {
			names[i] = k.name(v)
		}
		return nil, &AbsentError{Key: strings.Join(k.path, "."), Name: name, Near: near.Word(name, names)}
	}
	want := slices.Delete(slices.Clone(values), at, at+1)
	text := e.cut(node.elems, at, node.val.end-1)
	return e.prove(text, k.path, anyList(want), byHand(k.path, want))
}

func setTool(src []byte, name, want string) ([]byte, error) {
	path := []string{"toolchain", name}
	if !slices.Contains(ToolNames(), name) {
		err := fmt.Errorf("no such tool: %s", quote(name))
		if tool := near.Word(name, ToolNames()); tool != "" {
			return nil, &AbsentError{Key: "the list of tools", Name: name, Near: tool}
		}
		return nil, err
	}
	if err := checkTool(want); err != nil {
		return nil, fmt.Errorf("toolchain.%s: %w: %s", name, err, quote(want))
	}
	e, err := newEdit(src)
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("`%s = %s` in [toolchain]", name, quoteTOML(want))
	node := e.find(path)
	if node == nil {
		return e.prove(e.addKey(path, quoteTOML(want)), path, want, line)
	}
	return e.prove(e.splice(node.val, quoteTOML(want)), path, want, line)
}
