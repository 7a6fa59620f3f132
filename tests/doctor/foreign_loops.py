"""Training scripts of other people's styles, healthy and broken, as data: name -> the finding and the source.

The scripts were written after the checks, and are kept as they are. "" means that nothing must be found.
"""

# The lines are as long as their authors wrote them.
# ruff: noqa: E501

SETUP = """
import torch, numpy as np
from torch import nn
import torch.nn.functional as F
torch.manual_seed(1)
rng=np.random.default_rng(3)
V=30
nxt=rng.permutation(V)
def stream(n):
    a=[0]
    for _ in range(n): a.append(int(nxt[a[-1]]) if rng.random()<.7 else int(rng.integers(0,V)))
    return np.array(a)
D=torch.tensor(stream(6000))
def wins(B,T):
    i=torch.randint(0,len(D)-T-2,(B,)).tolist(); return torch.stack([D[k:k+T+1] for k in i])
"""

LOOPS = {
    "cells called step by step": (
        "",
        """
cell=nn.GRUCell(16,32); emb=nn.Embedding(V,16); out=nn.Linear(32,V)
ps=[*cell.parameters(),*emb.parameters(),*out.parameters()]
opt=torch.optim.RMSprop(ps,lr=2e-3)
for it in range(60):
    w=wins(8,12); h=torch.zeros(8,32); loss=0
    for t in range(12):
        h=cell(emb(w[:,t]),h); loss=loss+F.cross_entropy(out(h),w[:,t+1])
    opt.zero_grad(); loss.backward(); nn.utils.clip_grad_norm_(ps,5.); opt.step()
""",
    ),
    "LBFGS with a closure, full batch": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,12); s.r=nn.LSTM(12,24,batch_first=True); s.o=nn.Linear(24,V)
    def forward(s,x): return s.o(s.r(s.e(x))[0])
m=M(); opt=torch.optim.LBFGS(m.parameters(),lr=.3,max_iter=4); w=wins(32,12)
for it in range(25):
    def cl():
        opt.zero_grad(); l=F.cross_entropy(m(w[:,:-1]).reshape(-1,V),w[:,1:].reshape(-1)); l.backward(); return l
    opt.step(cl)
""",
    ),
    "two optimizers": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,12); s.r=nn.GRU(12,24,batch_first=True); s.o=nn.Linear(24,V)
    def forward(s,x): return s.o(s.r(s.e(x))[0])
m=M(); a=torch.optim.SparseAdam if 0 else torch.optim.SGD(m.e.parameters(),.5); b=torch.optim.Adam([*m.r.parameters(),*m.o.parameters()],2e-3)
for it in range(60):
    w=wins(8,12); l=F.cross_entropy(m(w[:,:-1]).mT,w[:,1:])
    a.zero_grad(); b.zero_grad(); l.backward(); a.step(); b.step()
""",
    ),
    "autograd.grad and updates by hand": (
        "",
        """
E=nn.Parameter(torch.randn(V,12)*.3)
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=E; s.w=nn.Parameter(torch.randn(12,V)*.1)
    def forward(s,x): return s.e[x].cumsum(1)/torch.arange(1,x.shape[1]+1)[:,None]@s.w
m=M(); ps=list(m.parameters())
for it in range(60):
    w=wins(8,12); l=F.cross_entropy(m(w[:,:-1]).flatten(0,1),w[:,1:].flatten())
    gs=torch.autograd.grad(l,ps)
    with torch.no_grad():
        for p,g in zip(ps,gs): p-=1.0*g
""",
    ),
    "one-hot inputs, state carried over a stream": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.r=nn.LSTM(V,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,hc): y,hc=s.r(x,hc); return s.o(y),hc
m=M(); opt=torch.optim.Adamax(m.parameters(),5e-3); n=len(D)//4; R=D[:n*4].view(4,n); hc=None
for i in range(0,800,13):
    x=R[:,i:i+13]; y=R[:,i+1:i+14]
    z,hc=m(F.one_hot(x,V).float(),hc); hc=tuple(q.detach() for q in hc)
    l=nn.CrossEntropyLoss()(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "transformer, padding, frozen positions, label smoothing, decay to 0": (
        "",
        """
class M(nn.Module):
    def __init__(s):
        super().__init__(); s.e=nn.Embedding(V+1,32,padding_idx=V); s.p=nn.Embedding(40,32); s.p.weight.requires_grad_(False)
        s.t=nn.TransformerEncoder(nn.TransformerEncoderLayer(32,4,64,.1,batch_first=True),2,enable_nested_tensor=False); s.o=nn.Linear(32,V+1)
    def forward(s,x):
        T=x.shape[1]; m=torch.triu(torch.ones(T,T,dtype=torch.bool),1)
        return s.o(s.t(s.e(x)+s.p(torch.arange(T)),mask=m,src_key_padding_mask=(x==V)))
m=M(); opt=torch.optim.AdamW([p for p in m.parameters() if p.requires_grad],1e-3); sch=torch.optim.lr_scheduler.CosineAnnealingLR(opt,60)
for it in range(60):
    w=wins(8,14); L=torch.randint(5,15,(8,)); w=torch.where(torch.arange(15)[None]<L[:,None],w,V)
    l=F.cross_entropy(m(w[:,:-1]).flatten(0,1),w[:,1:].flatten(),ignore_index=V,label_smoothing=.1)
    opt.zero_grad(); l.backward(); opt.step(); sch.step()
""",
    ),
    "packed sequences": (
        "",
        """
from torch.nn.utils.rnn import pack_padded_sequence,pad_packed_sequence
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V+1,16,padding_idx=V); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V+1)
    def forward(s,x,lens):
        y,_=s.r(pack_padded_sequence(s.e(x),lens,batch_first=True,enforce_sorted=False)); return s.o(pad_packed_sequence(y,batch_first=True,total_length=x.shape[1])[0])
m=M(); opt=torch.optim.NAdam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,14); L=torch.randint(5,15,(8,)); w=torch.where(torch.arange(15)[None]<=L[:,None],w,V)
    l=F.cross_entropy(m(w[:,:-1],L).transpose(1,2),w[:,1:],ignore_index=V); opt.zero_grad(set_to_none=False); l.backward(); opt.step()
""",
    ),
    "bfloat16, keyword call, dictionary, own train()": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.RNN(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x): return {"logits":s.o(s.r(s.e(x))[0]),"x":x}
    def train(s,n=40):
        opt=torch.optim.SGD(s.parameters(),.5,momentum=.9)
        for it in range(n):
            w=wins(8,12); l=F.cross_entropy(s(x=w[:,:-1])["logits"].flatten(0,1).float(),w[:,1:].flatten()); opt.zero_grad(); l.backward(); opt.step()
M().bfloat16().train()
""",
    ),
    "scripted net, loss by hand": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x): return s.o(s.r(s.e(x))[0])
m=torch.jit.script(M()); opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); l=(-F.log_softmax(m(w[:,:-1]),-1).gather(-1,w[:,1:,None])).mean(); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "outputs flattened time first": (
        "wrong_dimension",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.transpose(0,1).reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "clip before backward": (
        "clipping_misplaced",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); nn.utils.clip_grad_norm_(m.parameters(),.1); l.backward(); opt.step()
""",
    ),
    "a scheduler kills the rate": (
        "parameters_never_move",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
sch=torch.optim.lr_scheduler.ExponentialLR(opt,.5)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step(); sch.step()
""",
    ),
    "SGD at rate 50": (
        "rate_too_high",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.SGD(m.parameters(),50.)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "AdamW at rate 10": (
        "rate_too_high",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.AdamW(m.parameters(),10.)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "zero initialisation": (
        "parameters_never_move",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

for p in m.parameters(): nn.init.zeros_(p)

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "rate 0": (
        "parameters_never_move",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.SGD(m.parameters(),0.)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "softmax in the loop": (
        "softmax_twice",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=torch.softmax(m(x)[0],-1); l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "state handed to other texts": (
        "state_leaking",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
h=None
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z,h=m(x,h); h=[q.detach() for q in h]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "dropout always on": (
        "modes_mixed",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

m.o=nn.Sequential(m.o)
m.o.forward=lambda y,f=m.o.forward: F.dropout(f(y),.3)

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "gradients not zeroed": (
        "gradients_not_zeroed",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); l.backward(); opt.step()
""",
    ),
    "gradient accumulation": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    (F.cross_entropy(m(x)[0].mT,y)/4).backward()
    if it%4==3: opt.step(); opt.zero_grad()
""",
    ),
    "GradScaler": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
S=torch.amp.GradScaler("cpu")
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    l=F.cross_entropy(m(x)[0].mT,y); opt.zero_grad(); S.scale(l).backward(); S.unscale_(opt); S.step(opt); S.update()
""",
    ),
    "autocast": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    with torch.autocast("cpu",torch.bfloat16): l=F.cross_entropy(m(x)[0].float().mT,y)
    opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "time first, flat log_softmax, SGD by hand": (
        "",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,24); s.o=nn.Linear(24,V)
    def forward(s,x,h): o,h=s.r(s.e(x),h); return F.log_softmax(s.o(o).view(-1,V),1),h
m=M(); n=len(D)//8; R=D[:n*8].view(8,n).t().contiguous(); h=(torch.zeros(1,8,24),torch.zeros(1,8,24))
for i in range(0,600,16):
    h=tuple(q.detach() for q in h); z,h=m(R[i:i+16],h); l=nn.NLLLoss()(z,R[i+1:i+17].reshape(-1)); m.zero_grad(); l.backward()
    nn.utils.clip_grad_norm_(m.parameters(),.25)
    for p in m.parameters(): p.data.add_(p.grad,alpha=-2.)
""",
    ),
    "softmax into NLLLoss": (
        "loss_at_start",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    l=nn.NLLLoss()(m(x)[0].softmax(-1).mT,y); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "logits into NLLLoss": (
        "loss_at_start",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    l=nn.NLLLoss()(m(x)[0].mT,y); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "last token only, softmax twice": (
        "softmax_twice",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.Adam(m.parameters(),3e-3)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    l=F.cross_entropy(m(x)[0][:,-1].softmax(-1),y[:,-1]); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
    "rate 1e-7": (
        "parameters_never_move",
        """
class M(nn.Module):
    def __init__(s): super().__init__(); s.e=nn.Embedding(V,16); s.r=nn.LSTM(16,32,batch_first=True); s.o=nn.Linear(32,V)
    def forward(s,x,h=None): y,h=s.r(s.e(x),h); return s.o(y),h
m=M()

opt=torch.optim.SGD(m.parameters(),1e-7,momentum=.9)
for it in range(60):
    w=wins(8,12); x,y=w[:,:-1],w[:,1:]
    z=m(x)[0]; l=F.cross_entropy(z.reshape(-1,V),y.reshape(-1)); opt.zero_grad(); l.backward(); opt.step()
""",
    ),
}
