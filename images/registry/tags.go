package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/near"
	"github.com/4cc2e759/sandbox/internal/printable"
)

const (
	tagsMax   = 1 << 20          // bytes of a list of tags
	tagsWait  = 10 * time.Second // for it: it only helps to word an error
	tagsShown = 10
)

// helpMissing says what there is in place of ref, a tag or a digest that the registry does not have.
func (r *Repository) helpMissing(ctx context.Context, ref string) string {
	if _, err := store.ParseDigest(ref); err == nil {
		return "check name and digest"
	}
	tags := r.tags(ctx)
	if len(tags) == 0 {
		return "check name and tag"
	}
	more := ""
	if n := len(tags) - tagsShown; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return "tags there: " + strings.Join(likely(ref, tags), ", ") + more
}

// likely are those of tags, which are sorted, that somebody may have meant by ref: what looks like it, what begins like
// it, and the last ones in the alphabet, which are the newest if any are.
func likely(ref string, tags []string) []string {
	limit := max(1, (len(ref)+1)/3)
	rank := func(t string) int {
		if strings.HasPrefix(t, ref) {
			return 1 // 1.2 was asked for, 1.2-slim is there
		}
		if d := near.Distance(ref, t, limit); d < len(t) {
			return min(d, limit+1)
		}
		return limit + 1
	}
	ranks := map[string]int{}
	for _, t := range tags {
		ranks[t] = rank(t)
	}
	first := slices.Clone(tags)
	slices.SortStableFunc(first, func(a, b string) int { return ranks[a] - ranks[b] })
	rest := slices.IndexFunc(first, func(t string) bool { return ranks[t] == limit+1 })
	if rest < 0 || rest >= tagsShown {
		return first[:min(len(first), tagsShown)]
	}
	return slices.Concat(first[:rest], first[max(rest, len(first)-tagsShown+rest):])
}

// tags are those of the repository, in the order of the alphabet, as far as the registry lists them at once; none if
// it does not.
func (r *Repository) tags(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, tagsWait)
	defer cancel()
	e := r.endpoints[len(r.endpoints)-1]
	var list struct{ Tags []string }
	err := e.do("/tags/list", "", func(src fetch.Source) error {
		src.Via = once{src.Via}
		b, _, err := r.c.fetch.Get(ctx, src, tagsMax)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &list)
	})
	if err != nil {
		r.c.o.Log.Debug("no list of tags", "repository", e.repo.Name(), "err", err)
		return nil
	}
	tags := list.Tags[:0]
	for _, t := range list.Tags {
		if t = printable.Line(t, 128); t != "" {
			tags = append(tags, t)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// once is for what is not worth a second try.
type once struct{ http.RoundTripper }

// RoundTrip gives an answer that is none for an error that is final.
func (t once) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode >= 400 {
		resp.Body.Close()
		err = &fetch.StatusError{URL: fetch.Redact(r.URL.String()), Code: resp.StatusCode}
	}
	if err != nil {
		return nil, fetch.Permanent(err)
	}
	return resp, nil
}
