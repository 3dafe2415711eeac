
import { Runtime } from "./zz-tmp-runtime.ts";
import OpenAI from "openai";
const rt = await Runtime.start();
const direct = (await rt.miniflare.unsafeGetDirectURL("aerie")).origin; console.log(direct);
const openai = new OpenAI({apiKey: await rt.key(), baseURL: direct+"/v1", maxRetries:0});
const abort = new AbortController();
const call = openai.chat.completions.create({model:"",messages:[{role:"user",content:"Hello"}],logit_bias:{1:-100,5:-100},max_completion_tokens:16384},{signal:abort.signal});
setTimeout(()=>{console.log("ABORT",Date.now());abort.abort()},500);
await call.catch((e)=>console.log(String(e)));
for(let i=0;i<40;i++){ const u=await openai.get<any>("/usage"); if(u.turns){console.log(Date.now(),u);break;} await new Promise(r=>setTimeout(r,300)); }
await rt.stop();
