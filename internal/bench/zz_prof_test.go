package bench
import ("testing";"bytes";"net/http")
type nopW struct{h http.Header}
func (n *nopW) Header() http.Header {return n.h}
func (n *nopW) Write(b []byte)(int,error){return len(b),nil}
func (n *nopW) WriteHeader(int){}
type rb struct{bytes.Reader}
func (rb) Close() error {return nil}
func benchOne(b *testing.B, p [][]byte, path string){
 h,_ := newHandlerAlone()
 w := &nopW{h:http.Header{}}
 r,_ := http.NewRequest("POST", path, nil); r.RemoteAddr="127.0.0.1:1"
 body := &rb{}
 b.ReportAllocs()
 for i:=0;i<b.N;i++ { x := p[i%len(p)]; body.Reset(x); r.Body=body; r.ContentLength=int64(len(x)); h.ServeHTTP(w,r) }
}
func BenchmarkZTrack(b *testing.B){ benchOne(b, Corpus{}.Tracks(), "/v1/track") }
func BenchmarkZBatch(b *testing.B){ benchOne(b, Corpus{}.Batches(100), "/v1/batch") }
