package registry

import (
	"context"
	"encoding/json"
	"fmt"
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
	shown := tags[max(0, len(tags)-tagsShown):] // the last ones in the alphabet are the newest, if any are
	if word := near.Word(ref, tags); word != "" {
		rest := slices.DeleteFunc(slices.Clone(shown), func(t string) bool { return t == word })
		shown = append([]string{word}, rest[max(0, len(rest)-tagsShown+1):]...)
	}
	return "tags there: " + strings.Join(shown, ", ") + more
}

// tags are those of the repository, in the order of the alphabet, as far as the registry lists them at once; none if
// it does not.
func (r *Repository) tags(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, tagsWait)
	defer cancel()
	e := r.endpoints[len(r.endpoints)-1]
	var list struct{ Tags []string }
	err := e.do("/tags/list", "", func(src fetch.Source) error {
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
	for i, t := range list.Tags {
		list.Tags[i] = printable.Line(t, 128)
	}
	slices.Sort(list.Tags)
	return list.Tags
}
