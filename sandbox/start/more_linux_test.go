package start
import ("testing";"context";"github.com/4cc2e759/sandbox/sandbox/spec")
type rootT = spec.Root
func TestMore(t *testing.T) {
	dir := tree(t)
	sh := func(f func(*testing.T), n string) { t.Run(n, f) }
	sh(func(t *testing.T) { s := base(dir, "sh","-c","id; cat /proc/self/status | grep Cap; cat /proc/self/uid_map; touch /tmp/x /root/y; tail -1 /proc/mounts; kill -TERM $$"); s.IDs.UID=1000; s.IDs.GID=1000
		s.Process.Caps=[]string{"CAP_CHOWN"}; t.Log(run(t,s)) }, "uid")
	sh(func(t *testing.T) { s := base(dir, "sh","-c","id; cat /proc/self/status | grep Cap;ls /"); s.Root=specBind(dir); s.Process.Caps=[]string{"CAP_CHOWN","CAP_KILL"}; t.Log(run(t,s)) }, "bind")
	for _, a := range []string{"nope","/usr","/usr/nope","/root/s", "/etc"} {
		s := base(dir, a); _, err := Start(context.Background(), s, Options{}); t.Log(a, err, err.(*Error).Status())
	}
	s := base(dir, "true"); s.Ops=append(s.Ops, s.Ops[0]); s.Ops[len(s.Ops)-1].Target="/nope/x"
	_, err := Start(context.Background(), s, Options{}); t.Log(err)
}
func specBind(d string) (r rootT) { r.Bind = d; return }
