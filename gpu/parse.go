package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/near"
)

// What a request may have: more is a mistake, or somebody's joke.
const (
	maxValue = 4096 // bytes of one value
	maxIDs   = 64
	maxName  = 100 // bytes
	maxCount = 1024
)

// Parse reads one value of --gpus: terms with commas between them.
//
//	none · all · 2                            how many; a bare number is a count, and no count means 1
//	GPU-8f3a · MIG-41c0 · 0000:3b:00.0        which ones: the beginning of a UUID, or a PCI address
//	index=0                                   which one, as `sandbox gpu list` numbers them today
//	min-memory=40GiB · min-total=80GiB        free memory, and memory, of each
//	name=H100 · cc>=8.0,<10.0 · mig=1g.10gb   model, compute capability, MIG profile
//	same-numa · share=yes · wait=10m · caps=compute+utility+video
//
// Errors are [*SyntaxError]. What the words mean is said at [Request].
func Parse(s string) (Request, error) {
	p := parser{r: Request{Source: "--gpus"}, seen: map[string]bool{}}
	if len(s) > maxValue {
		return Request{}, &SyntaxError{Problem: fmt.Sprintf("--gpus: the value has %d bytes, at most %d are read", len(s), maxValue)}
	}
	for term := range strings.SplitSeq(s, ",") {
		if err := p.term(strings.TrimSpace(term)); err != nil {
			return Request{}, &SyntaxError{Problem: fmt.Sprintf("--gpus %s: %v", shown(s), err), Help: p.hint}
		}
	}
	if err := p.finish(); err != nil {
		return Request{}, &SyntaxError{Problem: fmt.Sprintf("--gpus %s: %v", shown(s), err), Help: p.hint}
	}
	return p.r, nil
}

type parser struct {
	r    Request
	seen map[string]bool
	last string // key of the term before
	hint string // what helps if this term is wrong
}

// fail is an error with what helps.
func (p *parser) fail(help, format string, args ...any) error {
	p.hint = help
	return fmt.Errorf(format, args...)
}

func (p *parser) term(t string) error {
	last := p.last
	p.last = ""
	switch {
	case t == "":
		return p.fail("for example --gpus 1, --gpus all or --gpus none", "a term is missing")
	case t == "none":
		p.r.None = true
		return nil
	case t == "all":
		p.r.All = true
		return nil
	case strings.Trim(t, "0123456789") == "":
		return p.count(t)
	case strings.IndexByte("<>=!~", t[0]) >= 0 && last == "cc":
		// A range has a comma: cc>=8.0,<10.0
		p.last = "cc"
		return p.addCC(t)
	}
	if id, ok := parseID(t); ok {
		return p.addID(id)
	}
	at := strings.IndexAny(t, "<>=!~")
	if at < 0 {
		at = len(t)
	}
	key, value := strings.TrimSpace(t[:at]), t[at:]
	if key == "index" || key == "cc" {
		delete(p.seen, key)
	}
	if p.seen[key] {
		return p.fail("", "%s is there twice", key)
	}
	p.seen[key], p.last = true, key
	return p.set(key, value)
}

func (p *parser) count(t string) error {
	n, err := strconv.Atoi(t)
	switch {
	case p.r.Count > 0:
		return p.fail("a bare number says how many; GPUs by number are --gpus index="+strconv.Itoa(p.r.Count)+",index="+shown(t), "two counts: %d and %s", p.r.Count, shown(t))
	case err == nil && n == 0:
		return p.fail("--gpus none wants no GPU, --gpus index=0 the first", "a bare number says how many, and that is none")
	case err != nil || n > maxCount:
		return p.fail("", "more than %d GPUs: %s", maxCount, shown(t))
	}
	p.r.Count = n
	return nil
}

func (p *parser) addID(id string) error {
	if slices.Contains(p.r.IDs, id) {
		return nil
	}
	if len(p.r.IDs) == maxIDs {
		return p.fail("", "more than %d GPUs are named", maxIDs)
	}
	p.r.IDs = append(p.r.IDs, id)
	return nil
}

func (p *parser) addCC(t string) error {
	all := t
	if p.r.CC != "" {
		all = p.r.CC + "," + t
	}
	terms, err := parseCC(all)
	if err != nil {
		return p.fail("for example cc>=8.0 or cc>=8.0,<10.0", "cc: %w", err)
	}
	p.r.CC = formatCC(terms)
	return nil
}

// keys are the words of the syntax that take a value, or are one.
var keys = []string{"index", "min-memory", "min-total", "name", "cc", "mig", "same-numa", "share", "wait", "caps", "all", "none"}

// foreign are words of other tools and of the env file.
var foreign = map[string]string{
	"device": "index=0 or GPU-8f3a", "devices": "index=0 or GPU-8f3a", "count": "the number alone: --gpus 2", "capabilities": "caps=compute+utility",
	"memory": "min-memory=40GiB", "total-memory": "min-total=80GiB", "compute": "cc>=8.0", "uuid": "GPU-8f3a", "driver": "",
}

func (p *parser) set(key, value string) error {
	if key == "cc" {
		if value == "" {
			return p.fail("for example cc>=8.0", "cc has no value")
		}
		return p.addCC(value)
	}
	known := slices.Contains(keys, key)
	if !known {
		return p.unknown(key, value)
	}
	flag := key == "same-numa" || key == "share"
	text, ok := strings.CutPrefix(value, "=")
	text = strings.TrimSpace(text)
	if value != "" && (!ok || strings.HasPrefix(text, "=")) || value == "" && !flag {
		return p.fail(key+"="+examples[key], "%s wants a value after one =", key)
	}
	if flag && value == "" {
		text = "yes"
	}
	if err := p.value(key, text); err != nil {
		return p.fail("for example "+key+"="+examples[key], "%s: %w", key, err)
	}
	return nil
}

var examples = map[string]string{
	"index": "0", "min-memory": "40GiB", "min-total": "80GiB", "name": "H100", "mig": "1g.10gb", "same-numa": "yes", "share": "yes", "wait": "10m",
	"caps": "compute+utility+video",
}

func (p *parser) value(key, text string) (err error) {
	r := &p.r
	switch key {
	case "index":
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return errors.New("wants a number such as 0")
		}
		return p.addID("index=" + strconv.FormatUint(n, 10))
	case "min-memory":
		r.MinFree, err = parseSize(text)
	case "min-total":
		r.MinTotal, err = parseSize(text)
	case "name":
		r.Name = text
		if text == "" || len(text) > maxName || strings.ContainsFunc(text, unprintable) {
			err = errors.New("wants a part of the model's name")
		}
	case "mig":
		r.MIG, err = parseProfile(text)
	case "same-numa":
		r.SameNUMA, err = parseYes(text)
	case "share":
		r.Share, err = parseYes(text)
		r.Alone = err == nil && !r.Share
	case "wait":
		r.Wait, err = parseWait(text)
	case "caps":
		r.Caps, err = parseCaps(text)
	default:
		err = errors.New("takes no value")
	}
	return err
}

// unknown says what was probably meant.
func (p *parser) unknown(key, value string) error {
	help := foreign[key]
	if help == "" {
		if word := near.Word(strings.ToLower(key), keys); word != "" {
			help = word + value
		}
	}
	lower := strings.ToLower(key)
	switch {
	case strings.HasPrefix(lower, "gpu-") || strings.HasPrefix(lower, "mig-"):
		return p.fail("`sandbox gpu list` shows them", "no UUID, nor the beginning of one: %s", shown(key+value))
	case value == "" && len(key) >= 2 && isHex(key):
		help = "GPU-" + key
	case value == "" && help == "" && len(key) >= 2:
		help = "name=" + key
	}
	if help != "" {
		help = "meant: " + shown(help) + "?"
	}
	return p.fail(help, "unknown word %s", shown(cmp.Or(key, value)))
}

// finish looks at the terms together.
func (p *parser) finish() error {
	r := &p.r
	rest := *r
	rest.None, rest.Source = false, ""
	switch {
	case r.None && rest.String() != "none":
		return p.fail("--gpus none stands alone", "none and something else")
	case r.None:
		return nil
	case r.All && (r.Count > 0 || len(r.IDs) > 0):
		return p.fail("--gpus all, with or without conditions", "all and a number of them")
	case r.Count > 0 && len(r.IDs) > 0:
		return p.fail("name each of them, or say how many", "a count and the names of GPUs")
	case r.MIG != "" && slices.ContainsFunc(r.IDs, func(id string) bool { return !strings.HasPrefix(id, "MIG-") }):
		return p.fail("`sandbox gpu list` shows the slices: --gpus MIG-…", "mig and the name of a whole GPU")
	case !r.All && r.Count == 0 && len(r.IDs) == 0:
		r.Count = 1
	}
	return nil
}
