package sandbox

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

type fakeFiles map[string]string

func (f fakeFiles) ReadFile(path string, max int64) ([]byte, error) {
	s, ok := f[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(s), nil
}

var image = fakeFiles{
	"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nbroken line\napp:x:1000:1001::/home/app:/bin/sh\n",
	"/etc/group":  "root:x:0:\nstaff:x:50:\n",
}

func TestResolveUser(t *testing.T) {
	me := caller{UID: 4711, GID: 4712, Name: "ada", Home: "/home/ada"}
	for _, c := range []struct {
		want, image string
		user        plan.User
	}{
		{"image", "", plan.User{Name: "root", Home: "/root", Shell: "/bin/bash"}},
		{"", "www-data", plan.User{UID: 33, GID: 33, Name: "www-data", Home: "/var/www", Shell: "/usr/sbin/nologin"}},
		{"image", "1000", plan.User{UID: 1000, GID: 1001, Name: "app", Home: "/home/app", Shell: "/bin/sh"}},
		{"image", "app:staff", plan.User{UID: 1000, GID: 50, Name: "app", Home: "/home/app", Shell: "/bin/sh"}},
		{"image", "2000:3000", plan.User{UID: 2000, GID: 3000, Name: "2000", Home: "/", Shell: "/bin/sh"}},
		{"root", "app", plan.User{Name: "root", Home: "/root", Shell: "/bin/bash"}},
		{"me", "app", plan.User{UID: 4711, GID: 4712, Name: "ada", Home: "/home/ada", Shell: "/bin/sh"}},
	} {
		u, err := resolveUser(c.want, c.image, me, image)
		if err != nil || u != c.user {
			t.Errorf("%q of an image with USER %q: %+v, %v; want %+v", c.want, c.image, u, err, c.user)
		}
	}
	for _, bad := range []string{"nobody-here", "-1", "4294967295", "app:nogroup", "a/../b"} {
		if u, err := resolveUser(bad, "", me, image); err == nil {
			t.Errorf("%q gave %+v", bad, u)
		}
	}
	if _, err := resolveUser("ghost", "", me, image); len(hint.Of(err)) == 0 {
		t.Error("an unknown user without advice")
	}
}

func TestPasswdWith(t *testing.T) {
	p, g, err := passwdWith(image, plan.User{UID: 4711, GID: 4712, Name: "ada", Home: "/home/ada", Shell: "/bin/sh"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(p), "ada:x:4711:4712::/home/ada:/bin/sh\n") || !strings.HasPrefix(string(p), "root:") {
		t.Errorf("passwd:\n%s", p)
	}
	if !strings.HasSuffix(string(g), "ada:x:4712:\n") {
		t.Errorf("group:\n%s", g)
	}
	if p, _, err := passwdWith(image, plan.User{UID: 33}); p != nil || err != nil {
		t.Errorf("a user who is there already: %q, %v", p, err)
	}
	if p, _, _ := passwdWith(fakeFiles{}, plan.User{UID: 5, Name: "x"}); !strings.HasPrefix(string(p), "root:") {
		t.Errorf("an image without passwd: %q", p)
	}
}
